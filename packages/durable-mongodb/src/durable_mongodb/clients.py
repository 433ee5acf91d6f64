"""Clients that a storage makes for itself, and how a client is called in messages."""

import math
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from durable_core.storage import InvalidArgumentError

from .drivers import Client

_SHORTEST: Final = 0.001
_DAY: Final = 86_400.0
_MOST_CONNECTIONS: Final = 10_000
_MEANT: Final = "mongodb://user:password@host:27017/database?replicaSet=name"


def open_client(
    url: str, *, pool_size: int, selection_timeout: float, command_timeout: float
) -> tuple[Client, str | None]:
    """Make a client; it connects when it is first used.

    Returns:
        The client, and the database that the URL names.

    Raises:
        InvalidArgumentError: The URL or an option is not allowed; a password is not told.
    """
    _check("selection_timeout", selection_timeout)
    _check("command_timeout", command_timeout)
    if not 1 <= pool_size <= _MOST_CONNECTIONS:
        msg = f"pool_size={pool_size!r}: choose 1 to {_MOST_CONNECTIONS} connections"
        raise InvalidArgumentError(msg)
    given: dict[str, Any] = {
        # One connection waits for hints.
        "maxPoolSize": pool_size + 1,
        "serverSelectionTimeoutMS": int(selection_timeout * 1_000),
        "socketTimeoutMS": int(command_timeout * 1_000),
        "appname": "durable",
    }
    lowered = url.lower()
    options = {name: value for name, value in given.items() if f"{name.lower()}=" not in lowered}
    try:
        named = _database_of(url)
        client: Client = AsyncMongoClient(url, **options)
    except (InvalidURI, ConfigurationError, ValueError, TypeError) as error:
        msg = f"this is no URL of a MongoDB server: {_reason(error, url)}; it looks like {_MEANT}"
        raise InvalidArgumentError(msg) from None
    return client, named


def _database_of(url: str) -> str | None:
    """Return the database that a URL names, without asking anybody where its hosts are."""
    scheme, _, rest = url.partition("://")
    if scheme == "mongodb":
        parsed: Any = parse_uri(url, warn=False)
        database: str | None = parsed["database"]
        return database
    if scheme != "mongodb+srv":
        msg = "it begins neither with mongodb:// nor with mongodb+srv://"
        raise InvalidURI(msg)
    path = rest.partition("?")[0].partition("/")[2]
    return path or None


def _reason(error: Exception, url: str) -> str:
    """Return what an error says, unless it repeats the URL's secrets."""
    user = url.partition("://")[2].rpartition("@")[0]
    text = str(error)
    secrets = [part for part in user.split(":") if part]
    return "it cannot be read" if any(part in text for part in secrets) else text


def _check(what: str, seconds: float) -> None:
    if not (math.isfinite(seconds) and _SHORTEST <= seconds <= _DAY):
        msg = f"{what}={seconds!r}: choose seconds from {_SHORTEST} to {_DAY:.0f}"
        raise InvalidArgumentError(msg)
