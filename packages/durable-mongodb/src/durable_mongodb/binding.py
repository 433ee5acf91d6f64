"""Writing inside the caller's own transaction."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from durable_core.storage import Capabilities, Inserted, InvalidArgumentError, NewExecution, Token
from durable_core.storage.kit import check_insert

from .checkpoints import point_doc, point_id
from .database import Database
from .drivers import driver_of_session
from .errors import TransactionUndoneError, translate, undone
from .inserting import insert_in_transaction
from .line import Line
from .session import Session
from .settings import CHECKPOINTS, EXECUTIONS

T = TypeVar("T")


class Bound:
    """See `BoundStorage`: listeners hear of what was written when the caller has committed.

    A conflict with somebody who writes the same at the same time undoes the caller's transaction,
    as any conflict in MongoDB does: `TransactionUndoneError`, after which `with_transaction` begins
    it again.

    Args:
        tx: The caller's session.
        database: Of the storage.
        capabilities: Of the storage.

    Raises:
        InvalidArgumentError: It is no session that can be joined.
    """

    def __init__(self, tx: object, database: Database, capabilities: Capabilities) -> None:
        driver, self._caller = driver_of_session(tx)
        self._database = database
        self._capabilities = capabilities
        self._session = Session(
            driver, database.settings, database.tally, Line(driver), bound=self._caller
        )

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `BoundStorage.insert`."""
        check_insert(items, self._capabilities)
        return await self._call(
            lambda session: insert_in_transaction(session, items, now, bound=True)
        )

    async def checkpoint(
        self,
        *,
        execution_id: str,
        token: Token,
        name: str,
        value: bytes,
        now: int,
    ) -> bool:
        """See `BoundStorage.checkpoint`. Whoever writes the row meanwhile waits or gives up."""

        async def work(session: Session) -> bool:
            # The row is written whatever happens, so that nobody reaps it in between.
            row = await session.change_one(
                EXECUTIONS,
                {"_id": execution_id, "owner": token.owner, "gen": token.gen},
                {"$inc": {"points": 1}},
                projection={"points": 1},
            )
            if row is None:
                return False
            there = {"_id": point_id(execution_id, name)}
            if await session.find(CHECKPOINTS, there, fields={"_id": 1}):
                return False
            doc = point_doc(execution_id, name, value, now, row["points"])
            await session.insert(CHECKPOINTS, [doc])
            return True

        return await self._call(work)

    async def _call(self, work: Callable[[Session], Awaitable[T]]) -> T:
        if not self._caller.in_transaction:
            msg = (
                "the session is in no transaction, so there is nothing to join: use it inside "
                "`async with await session.start_transaction():` or `session.with_transaction(…)`"
            )
            raise InvalidArgumentError(msg)
        try:
            await self._database.check()
            return await work(self._session)
        except Exception as error:
            if undone(error):
                msg = f"{self._database.place}: somebody else was in this transaction's way"
                raise TransactionUndoneError(msg) from error
            # Nothing is committed here, so nothing can be in doubt.
            raise translate(
                error, self._database.place, write=False, doubt=False, written=False
            ) from error
