"""What the pipeline's steps take and give: plain data, so that it can be stored."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from .text import Fingerprint, Links, Reading, Title, Words

Finding = Fingerprint | Title | Words | Links | Reading
"""What one step finds out about one file."""

FindingT = TypeVar("FindingT", Fingerprint, Title, Words, Links, Reading)


@dataclass(frozen=True)
class Page:
    """One file to study.

    Attributes:
        folder: The folder that is studied, absolute.
        name: The file's path relative to it, with `/`.
    """

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.folder / self.name

    def text(self) -> str:
        """Read the file."""
        return self.path.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class Assignment:
    """A folder to study.

    Attributes:
        folder: Absolute.
        names: The files, relative to the folder.
        report: The folder that the report is written to.
        approval: The key under which the approval is given.
    """

    folder: Path
    names: tuple[str, ...]
    report: Path
    approval: str


@dataclass(frozen=True)
class Approval:
    """Somebody's word on whether the report may go out."""

    granted: bool
    by: str


@dataclass(frozen=True)
class Facts:
    """All that was found out about one file.

    Attributes:
        name: The file.
        findings: What the steps that succeeded found.
        missing: Step -> how it ended, for steps that did not succeed.
    """

    name: str
    findings: tuple[Finding, ...] = ()
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def of(self, kind: type[FindingT]) -> FindingT | None:
        """Return the finding of a kind; None if that step did not succeed."""
        return next((found for found in self.findings if isinstance(found, kind)), None)


@dataclass(frozen=True)
class Study:
    """What is known of a folder.

    Attributes:
        folder: The folder.
        pages: One entry per file, in the order of the assignment.
        approval: Who let the report go out; None if nobody answered in time.
    """

    folder: Path
    pages: tuple[Facts, ...]
    approval: Approval | None

    def all(self, kind: type[FindingT]) -> list[FindingT]:
        """Return the findings of a kind, in the order of the files."""
        return [found for page in self.pages if (found := page.of(kind))]
