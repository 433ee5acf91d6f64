"""Writing inside the caller's own transaction."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from durable_core.storage import Capabilities, Inserted, NewExecution, Token
from durable_core.storage.kit import check_insert

from .applying import write_checkpoints
from .connections import driver_in
from .database import Database
from .errors import translate
from .inserting import insert_all
from .literals import name, text
from .notifying import notes
from .server import look_at
from .session import Session
from .statements import BOUND_CHECKPOINT, BOUND_NOTE, BOUND_NOTIFY, SOMEBODY_LISTENS

T = TypeVar("T")


class Bound:
    """See `BoundStorage`: hints ride in the caller's transaction, and are found after its commit.

    A sleeper with a wake key locks its mailbox until the transaction ends.

    Args:
        tx: The caller's connection or session.
        database: The storage's.
        capabilities: Of the storage.
    """

    def __init__(self, tx: object, database: Database, capabilities: Capabilities) -> None:
        self._tx = tx
        self._database = database
        self._capabilities = capabilities

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `BoundStorage.insert`."""
        check_insert(items, self._capabilities)

        async def work(session: Session) -> list[Inserted]:
            answers = await insert_all(session, items, now)
            queues = notes(session.told)
            if queues and await session.rows(session.fill(SOMEBODY_LISTENS)):
                # Nobody else has a row of this name, so nobody waits for this transaction.
                sender = text(secrets.token_hex(16))
                rows = [BOUND_NOTE % (sender, name(queue)) for queue in queues]
                await session.write(f"{session.texts[BOUND_NOTIFY]}{', '.join(rows)}")
            return answers

        return await self._call(work) if items else []

    async def checkpoint(
        self,
        *,
        execution_id: str,
        token: Token,
        name: str,
        value: bytes,
        now: int,
    ) -> bool:
        """See `BoundStorage.checkpoint`. The row stays locked until the transaction ends."""

        async def work(session: Session) -> bool:
            owner, gen = text(token.owner), str(token.gen)
            held = await session.rows(
                session.fill(BOUND_CHECKPOINT, text(execution_id), owner, gen)
            )
            if held:
                async with session.transaction():
                    write_checkpoints(session, [(execution_id, name, value)], now)
            return bool(held)

        return await self._call(work)

    async def _call(self, work: Callable[[Session], Awaitable[T]]) -> T:
        database = self._database
        try:
            driver = await driver_in(self._tx)
            server = database.server or await look_at(driver, database.place)
            return await work(Session(driver, server, database.texts, database.tally, bound=True))
        except Exception as error:
            # Nothing is committed here, so nothing can be in doubt.
            raise translate(
                error, database.place, write=False, doubt=False, written=False
            ) from error
