"""Writing inside the caller's own transaction."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from durable_core.storage import Capabilities, Inserted, NewExecution, Token
from durable_core.storage.kit import check_insert

from .connections import driver_in
from .errors import translate
from .inserting import insert_all
from .notifying import NOTIFY, payloads
from .session import Session
from .settings import Expanded, Settings
from .statements import BOUND_CHECKPOINT, CHECKPOINT
from .statistics import Tally

T = TypeVar("T")

_RECORDED = f"{CHECKPOINT} RETURNING name"

_ANYBODY = "-"
"""The sender of hints that concern listeners here, too."""


class Bound:
    """See `BoundStorage`: hints ride in the caller's transaction, and are sent by its commit.

    A sleeper with a wake key locks its mailbox until the transaction ends.

    Args:
        tx: The caller's connection or session.
        settings: Where the tables are.
        tally: Where statements are counted.
        place: The database, for messages.
        capabilities: Of the storage.
    """

    def __init__(
        self, tx: object, settings: Settings, tally: Tally, place: str, capabilities: Capabilities
    ) -> None:
        self._tx = tx
        self._settings = settings
        self._tally = tally
        self._place = place
        self._capabilities = capabilities

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `BoundStorage.insert`."""
        check_insert(items, self._capabilities)

        async def work(session: Session) -> list[Inserted]:
            answers = await insert_all(session, items, now, bound=True)
            texts = payloads(session.told, _ANYBODY)
            if texts and not self._settings.pooler:
                await session.rows(NOTIFY, self._settings.channel, texts)
            return answers

        return await self._call(work)

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
            held = await session.rows(BOUND_CHECKPOINT, execution_id, token.owner, token.gen)
            if not held:
                return False
            ids, names, values = [execution_id], [name], [value]
            return bool(await session.write(_RECORDED, now, ids, names, values))

        return await self._call(work)

    async def _call(self, work: Callable[[Session], Awaitable[T]]) -> T:
        try:
            driver = await driver_in(self._tx)
            session = Session(driver, Expanded(self._settings), self._tally, bound=True)
            return await work(session)
        except Exception as error:
            # Nothing is committed here, so nothing can be in doubt.
            raise translate(error, self._place, write=False, doubt=False, written=False) from error
