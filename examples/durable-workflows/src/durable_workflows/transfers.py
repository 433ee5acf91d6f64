"""Money moved from one account to another: in one transaction with its record, exactly once."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

from durable_core import Tasks, WorkflowContext, WorkflowTask

TxT = TypeVar("TxT")


class Books(Protocol[TxT]):
    """The accounts, in the database that the storage is in.

    With SQLAlchemy, `begin` is an engine's, and `move` executes two updates on the connection.
    """

    @property
    def begin(self) -> Callable[[], AbstractAsyncContextManager[TxT]]:
        """Opens a transaction, committed when it is left without an error."""
        ...

    async def move(self, tx: TxT, source: str, target: str, amount: int) -> int:
        """Move money inside a transaction; return what is left in the source."""
        ...


class Transfers(Generic[TxT]):
    """The tasks of a bank.

    Args:
        books: Its accounts.
    """

    def __init__(self, books: Books[TxT]) -> None:
        self.tasks = Tasks()
        self.transfer = self._transfer(books)

    def _transfer(self, books: Books[TxT]) -> WorkflowTask[[str, str, list[int]], int]:
        @self.tasks.workflow
        async def transfer(
            ctx: WorkflowContext, source: str, target: str, amounts: list[int]
        ) -> int:
            """Move several amounts, one transaction each; return what is left."""
            left = 0
            for amount in amounts:
                left = await ctx.transaction(books.begin, books.move, source, target, amount)
            return left

        return transfer
