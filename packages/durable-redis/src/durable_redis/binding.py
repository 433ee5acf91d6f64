"""Inserting inside the caller's own transaction.

Answers are known before EXEC, because the keys that they depend on are watched first and then
asked about: if one of them changes, EXEC does nothing at all, of the caller's commands neither.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from durable_core.storage import (
    Capabilities,
    Inserted,
    InsertOutcome,
    NewExecution,
    Record,
    Token,
)
from durable_core.storage.kit import born, check_insert

from .errors import translate
from .inserting import answers, arguments, skip
from .records import Reader, Stored, stored
from .scripts import INSERT
from .settings import Settings
from .statistics import Tally
from .transactions import Transaction

_FIXED: Final = 2
"""Arguments of the script before those of the first item."""

_BEFORE: Final = 4
"""Parts of the command before the script's arguments."""


class Bound:
    """See `BoundStorage`.

    Args:
        transaction: The caller's.
        settings: The namespace.
        capabilities: The limits.
        place: The server and namespace, for messages.
        tally: Where commands are counted.
    """

    def __init__(
        self,
        transaction: Transaction,
        settings: Settings,
        capabilities: Capabilities,
        place: str,
        tally: Tally,
    ) -> None:
        self._transaction = transaction
        self._settings = settings
        self._capabilities = capabilities
        self._place = place
        self._tally = tally

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `BoundStorage.insert`. Two round trips; what is created waits for EXEC."""
        check_insert(items, self._capabilities)
        if not items:
            return []
        records = [born(replace(item, owner=None), now) for item in items]
        rows = [(record, stored(record)) for record in records]
        try:
            return await self._insert(rows, now)
        except Exception as error:
            # Whatever it was, nothing was written: EXEC has not been sent.
            raise translate(error, self._place, write=False, doubt=False, written=False) from error

    async def _insert(self, rows: Sequence[tuple[Record, Stored]], now: int) -> Sequence[Inserted]:
        await self._transaction.watch(self._keys(rows))
        earlier = self._earlier()
        begin, given = arguments(rows, now, dry=True)[:_FIXED], arguments(rows, now)[_FIXED:]
        ask = (b"EVAL", INSERT.text, b"1", self._settings.schema)
        reply = await self._transaction.ask(*ask, *begin, *earlier, *given)
        self._tally.commands += 2
        self._tally.round_trips += 2
        self._tally.scripts += 1
        reader = Reader(reply)
        skip(reader, len(earlier) // 3)
        answered = list(answers(rows, reader))
        created = [
            row
            for row, answer in zip(rows, answered, strict=True)
            if answer.outcome is InsertOutcome.CREATED
        ]
        if created:
            # Whole, not by its digest: were it not loaded, EXEC would do the caller's part alone.
            self._transaction.queue(*ask, *arguments(created, now))
        return answered

    def _keys(self, rows: Sequence[tuple[Record, Stored]]) -> list[bytes]:
        """Return the keys on which the answers depend."""
        prefix = self._settings.prefix
        keys = {self._settings.schema: None}
        for record, _ in rows:
            keys[b"%be:%b" % (prefix, record.id.encode())] = None
            for kind, name in ((b"i", record.key), (b"w", record.wake_key)):
                if name is not None:
                    task = record.task.encode()
                    place = b"%d:%b:%b" % (len(task), task, name.encode())
                    keys[b"%b%b:%b" % (prefix, kind, place)] = None
        return list(keys)

    def _earlier(self) -> list[Any]:
        """Return the script's arguments of what waits for EXEC already."""
        ours = (INSERT.text, b"1", self._settings.schema)
        return [
            argument
            for command in self._transaction.queued
            if tuple(command[1:_BEFORE]) == ours
            for argument in command[_BEFORE + _FIXED :]
        ]

    async def checkpoint(
        self, *, execution_id: str, token: Token, name: str, value: bytes, now: int
    ) -> bool:
        """Redis cannot keep others from reaping while a transaction is open.

        Raises:
            NotImplementedError: Always: the capability ``bind_checkpoint`` is not declared.
        """
        msg = "Redis locks nothing: the capability 'bind_checkpoint' is not declared"
        raise NotImplementedError(msg)
