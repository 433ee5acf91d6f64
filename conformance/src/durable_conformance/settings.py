"""How a run is set, and what it learns of the storages it judges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

DEFAULT_ROWS: Final = 20_000

FOLDER: Final = "DURABLE_CONFORMANCE_FOLDER"
"""The environment variable through which all processes of a run find its temporary folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a run.

    Attributes:
        seed: Of all random choices.
        rows: How many rows the checks of crowded queues insert, and the largest calls carry.
        timeout: After so many seconds a check that has not ended has failed.
    """

    seed: int = 0
    rows: int = DEFAULT_ROWS
    timeout: float = 300.0


@dataclass(slots=True, kw_only=True)
class Facts:
    """What the handles that were opened say of themselves.

    Attributes:
        storage: The storage's class, as ``module:name``.
        capabilities: Each distinct value that a handle declared, field by field.
        versions: What the author tells, and the distribution that the class comes from.
    """

    storage: str
    capabilities: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])


_runs: list[Settings] = []
facts: Final[dict[type, Facts]] = {}
"""What was learnt in this process, by the author's class."""


def current() -> Settings:
    """Return the settings of the run in progress.

    Raises:
        RuntimeError: There is none: pytest runs without the plug-in, so nobody would judge.
    """
    if not _runs:
        msg = "the checks need pytest's plug-in: run pytest with -p durable_conformance"
        raise RuntimeError(msg)
    return _runs[-1]


def begin(settings: Settings) -> None:
    """Begin a run; runs may be nested, as when a test runs pytest."""
    _runs.append(settings)


def end() -> None:
    """End the latest run."""
    _runs.pop()
