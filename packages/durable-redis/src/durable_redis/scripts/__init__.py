"""The Lua scripts: each is put together from pieces of this folder, and sent by its digest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Final

READS: Final = "no-writes"
"""Runs on a server that is full, and promises not to write."""

FREES: Final = "allow-oom"
"""Runs on a server that is full: it makes room, or keeps executors alive."""

_CHANGES: Final = ("head", "rows", "changes", "flush")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script.

    Attributes:
        name: Of the piece that is special to it.
        text: What Redis compiles.
        writes: Whether it may write.
        digest: By which Redis knows it once it was loaded.
    """

    name: str
    text: bytes
    writes: bool
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Compute the digest."""
        digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest.encode())


def _piece(name: str) -> str:
    return (resources.files(__name__) / f"{name}.lua").read_text(encoding="utf-8")


def _script(name: str, before: Sequence[str], flag: str = "") -> Script:
    shebang = f"#!lua flags={flag}\n" if flag else "#!lua\n"
    text = shebang + "".join(_piece(piece) for piece in (*before, name))
    return Script(name=name, text=text.encode(), writes=flag != READS)


SETUP: Final = _script("setup", ())
INSERT: Final = _script("insert", _CHANGES)
CLAIM: Final = _script("claim", _CHANGES)
CLAIM_IDS: Final = _script("claim_ids", _CHANGES)
APPLY: Final = _script("apply", _CHANGES)
WAKE: Final = _script("wake", _CHANGES)
CANCEL: Final = _script("cancel", _CHANGES)
BEAT: Final = _script("beat", ("head", "rows"), FREES)
REAP: Final = _script("reap", _CHANGES, FREES)
PURGE: Final = _script("purge", _CHANGES, FREES)
FORGET: Final = _script("forget", _CHANGES, FREES)
GET: Final = _script("get", ("head", "rows"), READS)
PAGE: Final = _script("page", ("head", "rows", "seek"), READS)
POINTS: Final = _script("points", ("head",), READS)
LEASES: Final = _script("leases", ("head",), READS)

ALL: Final = (
    SETUP, INSERT, CLAIM, CLAIM_IDS, APPLY, WAKE, CANCEL, BEAT, REAP, PURGE, FORGET,
    GET, PAGE, POINTS, LEASES,
)  # fmt: skip
"""Loaded by `setup`, so that the first calls do not have to."""
