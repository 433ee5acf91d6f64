"""The caller's own transaction, of every accepted kind."""

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from lite import ANNA, NOW, SECOND, finish, held, new, opened
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from durable_core.storage import (
    InvalidArgumentError,
    Phase,
    Query,
    SchemaMissingError,
    TemporaryError,
    Token,
    Wake,
)
from durable_sqlite import SQLiteStorage

Ending = Callable[[], Awaitable[None]]
Opened = tuple[object, Ending, Ending]


@asynccontextmanager
async def plain(path: Path) -> AsyncGenerator[Opened]:
    with closing(sqlite3.connect(path)) as connection:
        # The caller's taste must not matter.
        connection.row_factory = sqlite3.Row

        async def commit() -> None:
            connection.commit()

        async def rollback() -> None:
            connection.rollback()

        yield connection, commit, rollback


@asynccontextmanager
async def explicit(path: Path) -> AsyncGenerator[Opened]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")

        async def end(text: str) -> None:
            connection.execute(text)

        yield connection, lambda: end("COMMIT"), lambda: end("ROLLBACK")


@asynccontextmanager
async def aio(path: Path) -> AsyncGenerator[Opened]:
    async with aiosqlite.connect(path) as connection:
        connection.row_factory = aiosqlite.Row
        yield connection, connection.commit, connection.rollback


@asynccontextmanager
async def alchemy(path: Path) -> AsyncGenerator[Opened]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:

        async def commit() -> None:
            connection.commit()

        async def rollback() -> None:
            connection.rollback()

        yield connection, commit, rollback
    engine.dispose()


@asynccontextmanager
async def alchemy_session(path: Path) -> AsyncGenerator[Opened]:
    engine = create_engine(f"sqlite:///{path}")
    with Session(engine) as session:

        async def commit() -> None:
            session.commit()

        async def rollback() -> None:
            session.rollback()

        yield session, commit, rollback
    engine.dispose()


@asynccontextmanager
async def alchemy_scoped_session(path: Path) -> AsyncGenerator[Opened]:
    engine = create_engine(f"sqlite:///{path}")
    session = scoped_session(sessionmaker(engine))

    async def commit() -> None:
        session.commit()

    async def rollback() -> None:
        session.rollback()

    yield session, commit, rollback
    session.remove()
    engine.dispose()


@asynccontextmanager
async def alchemy_async(path: Path) -> AsyncGenerator[Opened]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with engine.connect() as connection:
        yield connection, connection.commit, connection.rollback
    await engine.dispose()


@asynccontextmanager
async def alchemy_async_session(path: Path) -> AsyncGenerator[Opened]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(engine)
    async with sessions() as session:
        yield session, session.commit, session.rollback
    await engine.dispose()


KINDS = [
    plain, explicit, aio, alchemy, alchemy_session, alchemy_scoped_session, alchemy_async,
    alchemy_async_session,
]  # fmt: skip
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@every_kind
async def test_inserted_with_the_callers_commit(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage, kind(path) as (tx, commit, _):
        items = [new("a", tags=frozenset({"t"})), new("b", owner=ANNA), new("c", due=NOW + 1)]
        answers = await storage.bind(tx).insert(items=items, now=NOW)
        assert await storage.get(ids=["a"]) == [None]
        await commit()
        found = await storage.get(ids=["a", "b", "c"])
        assert found == [answer.record for answer in answers]
        assert found[1] is not None
        assert found[1].owner is None
        claimed = await storage.claim(
            executor=ANNA, tasks=["work"], queues=["default"], limit=9, now=NOW
        )
        assert [row.id for row in claimed.records] == ["a", "b"]


@every_kind
async def test_gone_with_the_callers_rollback(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage, kind(path) as (tx, _, rollback):
        await storage.bind(tx).insert(items=[new("a")], now=NOW)
        await rollback()
        assert await storage.count(query=Query()) == {"*": 0}
        assert (await storage.insert(items=[new("a")], now=NOW))[0].outcome == "created"


@every_kind
async def test_conflicts_are_answers(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    sleeper = {"wake_key": "w", "phase": Phase.SLEEPING}
    async with opened(path) as storage:
        await storage.insert(items=[new("a", key="k"), new("s", **sleeper)], now=NOW)
        async with kind(path) as (tx, commit, _):
            bound = storage.bind(tx)
            items = [
                new("a"), new("b", key="k"), new("c"), new("c"), new("t", **sleeper), new("d"),
            ]  # fmt: skip
            answers = await bound.insert(items=items, now=NOW)
            assert [(answer.outcome, answer.record.id) for answer in answers] == [
                ("existing_id", "a"), ("existing_key", "a"), ("created", "c"),
                ("existing_id", "c"), ("existing_wake_key", "s"), ("created", "d"),
            ]  # fmt: skip
            assert (await bound.insert(items=[new("e")], now=NOW))[0].outcome == "created"
            await commit()
        found = await storage.find(query=Query(), limit=9)
        assert [row.id for row in found.items] == ["a", "c", "d", "e", "s"]


@every_kind
async def test_a_sleeper_gets_the_message_that_was_kept(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        wake = Wake(task="work", wake_key="w", payload=b"p", request="r", keep_until=NOW + SECOND)
        await storage.wake(items=[wake], now=NOW)
        async with kind(path) as (tx, commit, _):
            sleeper = new("s", wake_key="w", phase=Phase.SLEEPING)
            (answer,) = await storage.bind(tx).insert(items=[sleeper], now=NOW)
            await commit()
        assert answer.record.phase is Phase.COMPLETED
        assert answer.record.output == b"p"
        assert await storage.get(ids=["s"]) == [answer.record]


@every_kind
async def test_a_checkpoint_by_token(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path, busy_timeout=0.05) as storage:
        await storage.insert(items=[held("a")], now=NOW)

        async def record(bound: Any, gen: int, value: bytes) -> bool:
            recorded: bool = await bound.checkpoint(
                execution_id="a", token=Token(ANNA, gen), name="step", value=value, now=NOW
            )
            return recorded

        async with kind(path) as (tx, commit, _):
            bound = storage.bind(tx)
            assert not await record(bound, 2, b"stale")
            assert await record(bound, 1, b"good")
            # The name has its value: the caller must not do the step again.
            assert not await record(bound, 1, b"again")
            # Nobody can take the execution away until the caller has ended.
            with pytest.raises(TemporaryError):
                await storage.reap(now=NOW, limit=9)
            await commit()
        assert (await storage.reap(now=NOW, limit=9)).rows == 1
        page = await storage.checkpoints(execution_id="a", limit=9)
        assert [(point.name, point.value) for point in page.items] == [("step", b"good")]


async def test_a_checkpoint_of_a_finished_execution_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage, plain(path) as (tx, _, rollback):
        await storage.insert(items=[held("a")], now=NOW)
        await storage.apply(items=[finish("a")], now=NOW)
        bound = storage.bind(tx)
        assert not await bound.checkpoint(
            execution_id="a", token=Token(ANNA, 1), name="n", value=b"", now=NOW
        )
        await rollback()


@every_kind
async def test_another_database_is_refused(kind: Any, tmp_path: Path) -> None:
    async with (
        opened(tmp_path / "x.db") as storage,
        opened(tmp_path / "y.db"),
        kind(tmp_path / "y.db") as (tx, _, rollback),
    ):
        with pytest.raises(InvalidArgumentError, match=r"y\.db, this storage on .*x\.db"):
            await storage.bind(tx).insert(items=[new("a")], now=NOW)
        await rollback()


@every_kind
async def test_a_missing_schema_is_named(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path), kind(path) as (tx, _, rollback):
        other = SQLiteStorage(path, prefix="other_")
        with pytest.raises(SchemaMissingError, match="run setup") as caught:
            await other.bind(tx).insert(items=[new("a")], now=NOW)
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        await rollback()
        await other.close()


@every_kind
async def test_a_locked_database_is_temporary(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    if kind is explicit:
        # Its BEGIN IMMEDIATE is the caller's own to fail.
        kind = plain
    async with opened(path) as storage, kind(path) as (tx, _, rollback):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            await _patience(tx)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(TemporaryError, match="try again"):
                await storage.bind(tx).insert(items=[new("a")], now=NOW)
        await rollback()


async def _patience(tx: Any) -> None:
    """Do not wait for locks in a caller's transaction."""
    text = "PRAGMA busy_timeout = 0"
    if isinstance(tx, sqlite3.Connection):
        tx.execute(text)
    elif isinstance(tx, aiosqlite.Connection):
        await tx.execute(text)
    elif isinstance(tx, Session | scoped_session):
        tx.connection().exec_driver_sql(text)
    elif isinstance(tx, AsyncSession):
        await (await tx.connection()).exec_driver_sql(text)
    else:
        ended = tx.exec_driver_sql(text)
        if hasattr(ended, "__await__"):
            await ended


async def test_autocommit_without_a_transaction_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        with (
            closing(sqlite3.connect(path, isolation_level=None)) as plainly,
            pytest.raises(InvalidArgumentError, match="execute BEGIN first"),
        ):
            await storage.bind(plainly).insert(items=[new("a")], now=NOW)
        engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection, pytest.raises(InvalidArgumentError, match="BEGIN"):
            await storage.bind(connection).insert(items=[new("a")], now=NOW)
        engine.dispose()
        assert await storage.count(query=Query()) == {"*": 0}


@pytest.mark.parametrize("tx", [object(), None, "BEGIN", create_engine("sqlite://")])
async def test_what_is_no_transaction_is_refused(tx: object, tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        with pytest.raises(InvalidArgumentError, match=r"a sqlite3\.Connection, an aiosqlite"):
            storage.bind(tx)


async def test_memory_has_no_callers(tmp_path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        async with opened(":memory:") as storage:
            with pytest.raises(InvalidArgumentError, match="for itself"):
                storage.bind(connection)
        async with opened(tmp_path / "x.db") as storage:
            with pytest.raises(InvalidArgumentError, match="a database in memory"):
                storage.bind(connection)


async def test_bad_items_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage, plain(path) as (tx, commit, _):
        with pytest.raises(InvalidArgumentError):
            await storage.bind(tx).insert(items=[new("a"), new("b", parent_id="a")], now=NOW)
        with pytest.raises(InvalidArgumentError):
            await storage.bind(tx).checkpoint(
                execution_id="a b", token=Token(ANNA, 1), name="n", value=b"", now=NOW
            )
        await commit()
        assert await storage.count(query=Query()) == {"*": 0}
