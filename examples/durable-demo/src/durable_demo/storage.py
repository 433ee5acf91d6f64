"""The one place that chooses a storage: another database is another constructor here."""

from pathlib import Path

from durable_core.storage import Storage
from durable_sqlite import SQLiteStorage

from .errors import DemoError

_SCHEME = "sqlite:///"


def open_storage(location: str) -> Storage:
    """Return the storage at a location; nothing is opened before it is used.

    Args:
        location: A path of a SQLite file.
    """
    return SQLiteStorage(location)


def locate(text: str) -> str:
    """Check what the user gave as storage and return the location for `open_storage`.

    Args:
        text: A path, or `sqlite:///` and a path.

    Raises:
        DemoError: It is no SQLite file on disk.
    """
    path = text.removeprefix(_SCHEME)
    if "://" in path:
        raise DemoError(
            f"--storage {text} is no SQLite file, and this demo knows no other storage",
            "give a path, or sqlite:/// and a path",
        )
    if not path or path.startswith(":memory:"):
        raise DemoError(
            "a storage in memory dies with its process, and two processes cannot share it",
            "give --storage a path on disk, or leave it out",
        )
    return str(Path(path).expanduser().absolute())
