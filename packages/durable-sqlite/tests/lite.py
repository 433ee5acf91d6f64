"""What the tests of the SQLite storage share."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Unpack

from durable_core.storage import Finish, NewExecution, Phase, Token
from durable_sqlite import SQLiteStorage
from durable_sqlite.settings import Options

NOW = 1_700_000_000_000_000
SECOND = 1_000_000
ANNA = "anna"


@asynccontextmanager
async def opened(path: str | Path, **options: Unpack[Options]) -> AsyncGenerator[SQLiteStorage]:
    """Open a storage that is set up, and close it at the end."""
    storage = SQLiteStorage(path, **options)
    try:
        await storage.setup()
        yield storage
    finally:
        await storage.close()


def names(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def new(id: str, **values: Any) -> NewExecution:  # noqa: A002
    """Return an execution to insert."""
    fields: dict[str, Any] = {"id": id, "task": "work"} | values
    return NewExecution(**fields)


def held(id: str, **values: Any) -> NewExecution:  # noqa: A002
    """Return an execution that is held by Anna from the beginning."""
    return new(id, owner=ANNA, **values)


def finish(id: str, gen: int = 1, **values: Any) -> Finish:  # noqa: A002
    """Return Anna's completion of an execution."""
    fields: dict[str, Any] = {"id": id, "token": Token(ANNA, gen), "phase": Phase.COMPLETED}
    return Finish(**fields | values)


async def claim(storage: SQLiteStorage, limit: int = 100, **values: Any) -> list[str]:
    """Claim for Anna; return the ids."""
    wanted: dict[str, Any] = {
        "executor": ANNA,
        "tasks": ["work"],
        "queues": ["default"],
        "now": NOW,
    } | values
    claimed = await storage.claim(limit=limit, **wanted)
    return [row.id for row in claimed.records]
