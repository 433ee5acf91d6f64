"""Transactions of aiosqlite; imported only for a caller who has it."""

from collections.abc import Sequence
from typing import Any

from aiosqlite import Connection

from .bound import Transaction, check_transaction
from .records import Row


def transaction_of_aiosqlite(tx: object) -> Transaction | None:
    """Return how to execute statements in the transaction, None if it is no connection."""
    return _Aio(tx) if isinstance(tx, Connection) else None


class _Aio(Transaction):
    """A connection that has a thread of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, text: str, parameters: Sequence[Any]) -> list[Row]:
        cursor = await self._connection.cursor()
        try:
            # The caller's own row factory is for the caller's own rows.
            cursor.row_factory = None
            await cursor.execute(text, parameters)
            return [tuple(row) for row in await cursor.fetchall()]
        finally:
            await cursor.close()

    def check(self) -> None:
        check_transaction(self._connection)
