"""Where a database is: from a URL, or from an engine that the caller has."""

from typing import Final

from durable_core.storage import InvalidArgumentError

_SCHEMES: Final = ("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite")


def path_of_url(url: str) -> str:
    """Return the file that a URL names, ``":memory:"`` if it names none.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``sqlite://``.

    Raises:
        InvalidArgumentError: It is no such URL, or has options.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        msg = f"{url!r} is no SQLite URL: write sqlite:///file.db, or sqlite:////folder/file.db"
        raise InvalidArgumentError(msg)
    if rest and not rest.startswith("/"):
        msg = (
            f"{url!r} names a host; an SQLite file has none: write three slashes, sqlite:///{rest}"
        )
        raise InvalidArgumentError(msg)
    path, _, options = rest[1:].partition("?")
    if options:
        msg = f"{url!r} has options: leave out '?{options}' and give them to from_url() by name"
        raise InvalidArgumentError(msg)
    return check_path(path or ":memory:", url)


def check_path(path: str, source: str) -> str:
    """Refuse SQLite's own URIs: they can name what several processes cannot share.

    Raises:
        InvalidArgumentError: It is one.
    """
    if path.startswith("file:"):
        msg = f"{source!r}: a 'file:' URI is not supported: give the plain path"
        raise InvalidArgumentError(msg)
    return path
