"""A storage that writes inside the caller's transaction, whatever driver that belongs to."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any, TypeVar

from durable_core.storage import (
    Capabilities,
    Inserted,
    InsertOutcome,
    InvalidArgumentError,
    NewExecution,
    Record,
    Token,
)
from durable_core.storage.kit import born, check_insert
from durable_core.storage.kit.limits import check_id, check_name

from .bulk import INSERT_RETURNING, pieces
from .errors import translate
from .inserting import distinct_ids, is_sleeper, meeting
from .mailboxes import delivery
from .records import Row, birth_row
from .session import Expanded, Plan
from .settings import Settings
from .statements import BOUND_CHECKPOINT, HINT
from .writer import FINISHED

T = TypeVar("T")

_FILES = "PRAGMA database_list"


class Transaction(ABC):
    """The caller's transaction: how to execute a statement in it."""

    @abstractmethod
    async def execute(self, text: str, parameters: Sequence[Any]) -> list[Row]:
        """Execute a statement in the caller's transaction and return all its rows."""

    @abstractmethod
    def check(self) -> None:
        """Refuse a connection that would commit every statement by itself.

        Raises:
            InvalidArgumentError: What it is, and what to do.
        """

    def driver_error(self, error: Exception) -> Exception:
        """Return what the driver raised, if something was put around it."""
        return error


def check_transaction(connection: Any) -> None:
    """Refuse a driver's connection that would commit every statement by itself.

    Raises:
        InvalidArgumentError: It is in autocommit mode, and no transaction is open.
    """
    alone = connection.isolation_level is None or getattr(connection, "autocommit", None) is True
    if alone and not connection.in_transaction:
        msg = "the connection is in autocommit mode and no transaction is open: execute BEGIN first"
        raise InvalidArgumentError(msg)


class Bound:
    """See `BoundStorage`.

    Args:
        transaction: The caller's.
        settings: The storage's.
        capabilities: The storage's.
    """

    def __init__(
        self, transaction: Transaction, settings: Settings, capabilities: Capabilities
    ) -> None:
        self._transaction = transaction
        self._settings = settings
        self._capabilities = capabilities
        self._texts = Expanded(settings.prefix)
        self._checked = False

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `BoundStorage.insert`."""
        check_insert(items, self._capabilities)
        return await self._carry_out(_insert(items, now))

    async def checkpoint(
        self,
        *,
        execution_id: str,
        token: Token,
        name: str,
        value: bytes,
        now: int,
    ) -> bool:
        """See `BoundStorage.checkpoint`; False also if the name has a value already."""
        check_id("execution_id", execution_id)
        check_name("checkpoint name", name)
        return await self._carry_out(_checkpoint(execution_id, token, name, value, now))

    async def _carry_out(self, plan: Plan[T]) -> T:
        try:
            await self._check()
            text, parameters = next(plan)
            while True:
                rows = await self._transaction.execute(self._texts[text], parameters)
                text, parameters = plan.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result
        except Exception as error:
            cause = self._transaction.driver_error(error)
            told = translate(cause, self._settings.path or "")
            if told is cause:
                raise
            raise told from cause

    async def _check(self) -> None:
        if self._checked:
            return
        rows = await self._transaction.execute(_FILES, ())
        check_file(rows, self._settings)
        self._transaction.check()
        self._checked = True


def check_file(rows: Iterable[Row], settings: Settings) -> None:
    """Refuse a transaction on another database.

    Args:
        rows: What `PRAGMA database_list` says.
        settings: The storage's.

    Raises:
        InvalidArgumentError: Both files are named.
    """
    theirs = next((row[2] for row in rows if row[1] == "main"), "")
    mine = settings.path or ""
    if not theirs or not Path(mine).exists() or not Path(theirs).samefile(mine):
        msg = f"the transaction is on {theirs or 'a database in memory'}, this storage on {mine}"
        raise InvalidArgumentError(msg)


def _insert(items: Sequence[NewExecution], now: int) -> Plan[list[Inserted]]:
    answers: list[Inserted] = []
    free = [replace(item, owner=None) if item.owner is not None else item for item in items]
    for sleepers, group in groupby(free, is_sleeper):
        if sleepers:
            for item in group:
                answers += yield from _insert_sleeper(item, now)
        else:
            for distinct in distinct_ids(group):
                answers += yield from _insert_plain(distinct, now)
    yield from _raise_hints(answers)
    return answers


def _insert_plain(items: Sequence[NewExecution], now: int) -> Plan[list[Inserted]]:
    answers: list[Inserted] = []
    for piece in pieces(items):
        rows = [born(item, now) for item in piece]
        parameters = [birth_row(item, now) for item in piece]
        made = yield INSERT_RETURNING[len(piece)], [*chain.from_iterable(parameters)]
        fresh = {row[0] for row in made}
        for item, row in zip(piece, rows, strict=True):
            if row.id in fresh:
                answers.append(Inserted(outcome=InsertOutcome.CREATED, record=row))
            else:
                there = yield from meeting(item)
                assert there is not None  # noqa: S101 - SQLite refused the row because of it
                answers.append(there)
    return answers


def _insert_sleeper(item: NewExecution, now: int) -> Plan[list[Inserted]]:
    row: Record = born(item, now)
    if not (yield INSERT_RETURNING[1], birth_row(item, now)):
        there = yield from meeting(item)
        assert there is not None  # noqa: S101 - SQLite refused the row because of it
        return [there]
    row = yield from delivery(row, now)
    return [Inserted(outcome=InsertOutcome.CREATED, record=row)]


def _raise_hints(answers: Iterable[Inserted]) -> Plan[None]:
    """Let other processes, and this one, find out about the commit by the file's version."""
    created = [one.record for one in answers if one.outcome is InsertOutcome.CREATED]
    names = {row.queue for row in created if row.due is not None}
    if any(row.finished for row in created):
        names.add(FINISHED)
    for name in sorted(names):
        yield HINT, (name,)


def _checkpoint(execution_id: str, token: Token, name: str, value: bytes, now: int) -> Plan[bool]:
    values = (execution_id, name, value, now, execution_id, token.owner, token.gen)
    return bool((yield BOUND_CHECKPOINT, values))
