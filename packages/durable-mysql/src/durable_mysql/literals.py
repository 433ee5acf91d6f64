"""Values as they stand in statements.

What is not made of harmless characters is written in hexadecimal, so nothing here depends on the
connection's character set or on the server's SQL mode, and a statement is plain ASCII: its length
is its size.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

NULL: Final = "NULL"

_HARMLESS: Final = re.compile(r"[A-Za-z0-9_.:/$@+= -]*")


def text(value: str | None) -> str:
    """Return an ASCII text: ids, owners, and the protocol's own words."""
    if value is None:
        return NULL
    if _HARMLESS.fullmatch(value):
        return f"'{value}'"
    return f"_ascii x'{value.encode('ascii').hex()}'"


@lru_cache(maxsize=4096)
def name(value: str | None) -> str:
    """Return a text of any characters, for columns that hold its UTF-8 bytes."""
    if value is None:
        return NULL
    if _HARMLESS.fullmatch(value):
        return f"'{value}'"
    return f"x'{value.encode().hex()}'"


def blob(value: bytes | None) -> str:
    """Return a payload."""
    return NULL if value is None else f"x'{value.hex()}'"


def number(value: int | None) -> str:
    """Return an integer."""
    return NULL if value is None else str(int(value))


def texts(values: Iterable[str]) -> str:
    """Return ASCII texts for an ``IN``; never an empty list."""
    return ", ".join(map(text, values)) or NULL
