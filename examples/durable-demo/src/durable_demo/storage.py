"""The one place that chooses a storage: another database is another constructor here."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from durable_core.storage import InvalidArgumentError, Storage
from durable_sqlite import SQLiteStorage

from .errors import DemoError

_SCHEME = "sqlite:///"

SERVERS: Final[Mapping[str, tuple[str, str]]] = {
    "postgresql": ("postgres", "PostgresStorage"),
    "postgres": ("postgres", "PostgresStorage"),
    "mysql": ("mysql", "MySQLStorage"),
    "mariadb": ("mysql", "MySQLStorage"),
    "redis": ("redis", "RedisStorage"),
    "rediss": ("redis", "RedisStorage"),
    "mongodb": ("mongodb", "MongoStorage"),
}
"""How a URL begins → the package (durable-…) and the class in it that opens it by `from_url`."""


def open_storage(location: str) -> Storage:
    """Return the storage at a location; nothing is opened before it is used.

    Args:
        location: A path of a SQLite file, or the URL of a server.

    Raises:
        DemoError: The storage's package is not installed, or refuses the URL.
    """
    scheme, found, _ = location.partition("://")
    if not found:
        return SQLiteStorage(location)
    package, name = SERVERS[scheme.partition("+")[0]]
    try:
        module: Any = importlib.import_module(f"durable_{package}")
    except ImportError as error:
        raise DemoError(
            f"{scheme}:// needs the package durable-{package}, which cannot be imported: {error}",
            f'install it: pip install "durable-core[{package}]"',
        ) from error
    try:
        storage: Storage = getattr(module, name).from_url(location)
    except InvalidArgumentError as error:
        raise DemoError(f"--storage: {error}", "give the URL of a server and a database") from error
    return storage


def locate(text: str) -> str:
    """Check what the user gave as storage and return the location for `open_storage`.

    Args:
        text: A path, `sqlite:///` and a path, or the URL of a server.

    Raises:
        DemoError: It is neither a SQLite file on disk nor a server that is known.
    """
    path = text.removeprefix(_SCHEME)
    if "://" in path:
        scheme = path.partition("://")[0]
        if scheme.partition("+")[0] not in SERVERS:
            known = ", ".join(f"{known}://" for known in SERVERS)
            raise DemoError(
                f"--storage {scheme}://… is no storage that this demo knows",
                f"give a path, sqlite:/// and a path, or a URL that begins with {known}",
            )
        return path
    if not path or path.startswith(":memory:"):
        raise DemoError(
            "a storage in memory dies with its process, and two processes cannot share it",
            "give --storage a path on disk, or leave it out",
        )
    return str(Path(path).expanduser().absolute())


def shown(location: str) -> str:
    """Return a location for people: without the password."""
    if "://" not in location:
        return location
    parts = urlsplit(location)
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=f"{user}{host}", query="").geturl()
