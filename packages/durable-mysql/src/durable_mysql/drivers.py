"""The two drivers, aiomysql and asyncmy, as one: a packet of statements, its results in order."""

import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, cast

from durable_core.storage import InvalidArgumentError

Row: TypeAlias = Sequence[Any]
"""A row as the driver gives it."""

DRIVERS: Final = ("aiomysql", "asyncmy")
"""By their names in SQLAlchemy."""


class Driver(Protocol):
    """What both drivers' connections have and is used here."""

    def cursor(self, cursor: Any, /) -> Any:
        """Return what gives a cursor of a class."""
        ...

    def close(self) -> None:
        """Close the connection at once."""
        ...

    def get_autocommit(self) -> bool:
        """Whether each statement is a transaction, as the server has said last."""
        ...

    def get_transaction_status(self) -> bool:
        """Whether a transaction is open, as the server has said last."""
        ...


class Result(NamedTuple):
    """What the server answered one statement.

    Attributes:
        rows: Empty for a statement that gives none.
        affected: How many rows it changed.
    """

    rows: Sequence[Row]
    affected: int


@cache
def _quiet_cursor(module: str) -> Any:
    """Return a driver's cursor that does not ask for warnings.

    The question is a packet of its own, in the middle of the answers to ours.
    """
    base: Any = importlib.import_module(module).Cursor

    async def show_nothing(_self: object, _connection: object) -> None:
        pass

    return type("QuietCursor", (base,), {"_show_warnings": show_nothing})


def driver_of(connection: Any) -> Driver:
    """Return a connection of a driver as what it has in common with the other's.

    Raises:
        InvalidArgumentError: It is neither's.
    """
    if type(connection).__module__.partition(".")[0] in DRIVERS:
        return cast("Driver", connection)
    msg = (
        f"the engine's driver is neither aiomysql nor asyncmy: it made a "
        f"{type(connection).__module__}.{type(connection).__qualname__}"
    )
    raise InvalidArgumentError(msg)


async def query(driver: Driver, packet: str) -> list[Result]:
    """Send a packet of statements, divided by semicolons; return all their results."""
    name = type(driver).__module__.partition(".")[0]
    module = "aiomysql" if name == "aiomysql" else "asyncmy.cursors"
    cursor: Any = await driver.cursor(_quiet_cursor(module))
    await cursor.execute(packet)
    results = [_result(cursor)]
    while await cursor.nextset():
        results.append(_result(cursor))
    return results


def _result(cursor: Any) -> Result:
    rows: Any = cursor._rows  # noqa: SLF001 - `fetchall` is a coroutine that returns it
    return Result(rows or (), cursor.rowcount)


def alive(driver: Driver) -> bool:
    """Whether nothing says that a connection, which lies idle, is dead."""
    connection: Any = driver
    reader = getattr(connection, "_reader", None)
    if reader is not None:
        # Unasked, a server only says that it is going to hang up.
        said = reader.at_eof() or reader.exception() is not None or bool(reader._buffer)  # noqa: SLF001
        return not said
    if hasattr(connection, "_stream_broken"):
        return bool(connection.connected) and not connection._stream_broken  # noqa: SLF001
    return False
