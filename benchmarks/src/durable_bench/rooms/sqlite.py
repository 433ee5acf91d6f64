"""SQLite: a file in the run's folder."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from ..sample import Counts
from ..sketch.sqlite import SqliteStore
from ..sketch.store import Store
from ..sqlite_tally import SqliteTally
from .room import Place, Reader, Room

_AUDIT = """
CREATE TABLE audit (id TEXT NOT NULL);
CREATE TRIGGER audit_end AFTER UPDATE OF phase ON durable_executions
WHEN new.finished_at IS NOT NULL AND old.finished_at IS NULL
BEGIN INSERT INTO audit VALUES (new.id); END;
CREATE TRIGGER audit_birth AFTER INSERT ON durable_executions
WHEN new.finished_at IS NOT NULL
BEGIN INSERT INTO audit VALUES (new.id); END;
"""

if TYPE_CHECKING:
    from durable_core.storage import Storage


class SqliteRoom(Room):
    """See `Room`."""

    served = False

    def storage(self, place: Place) -> "Storage":
        """See `Room.storage`."""
        from durable_sqlite import SQLiteStorage  # noqa: PLC0415  # not for the sketch

        return SQLiteStorage(place.folder / "work.db")

    def store(self, place: Place) -> Store:
        """See `Room.store`."""
        return SqliteStore(place.folder / "sketch.db")

    async def watch(self, place: Place) -> Reader:
        """See `Room.watch`. Idle connections can be listened to at no cost, heartbeats included."""
        tally = SqliteTally()
        tally.install()

        async def read() -> Counts:
            return tally.read()

        return read

    async def audit(self, place: Place) -> bool:
        """See `Room.audit`."""
        with closing(sqlite3.connect(place.folder / "work.db", timeout=30)) as database:
            database.executescript(_AUDIT)
        return True

    async def ends(self, place: Place) -> Mapping[str, int]:
        """See `Room.ends`."""
        with closing(sqlite3.connect(place.folder / "work.db", timeout=30)) as database:
            return dict(database.execute("SELECT id, count(*) FROM audit GROUP BY id").fetchall())


ROOM = SqliteRoom
