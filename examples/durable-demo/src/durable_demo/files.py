"""Find the text files of a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import DemoError

MAX_SIZE = 1_000_000
_SNIFFED = 8192
_NOT_SOURCES = {"__pycache__", "node_modules", "site-packages", "build", "dist", "venv", "target"}


@dataclass(frozen=True)
class Found:
    """The text files of a folder.

    Attributes:
        folder: The folder, absolute.
        names: Paths relative to it with `/`, sorted.
        unreadable: How many entries could not be read and are left out.
    """

    folder: Path
    names: tuple[str, ...]
    unreadable: int


def find(folder: Path, *, leave_out: Path | None = None) -> Found:
    """Find the UTF-8 text files below a folder.

    Hidden entries, symbolic links, what tools generate (`build`, `node_modules`, ...), files over
    1 MB and empty files are left out.

    Args:
        folder: Where to look.
        leave_out: A folder below it that is not searched: the demo's own output.

    Raises:
        DemoError: The folder is missing, no folder, not readable, or has no text file.
    """
    folder = _checked(folder)
    names: list[str] = []
    unreadable = 0
    for path, size in _walk(folder, leave_out.resolve() if leave_out else None):
        name = path.relative_to(folder).as_posix()
        text = _is_text(path) if 0 < size <= MAX_SIZE else False
        if text is None or size < 0 or not has_text_name(name):
            unreadable += 1
        elif text:
            names.append(name)
    if not names:
        reason = f"; {unreadable} entries are not readable for you" if unreadable else ""
        raise DemoError(
            f"there is no text file in {folder}{reason}",
            "name a folder with some UTF-8 text files, such as a project's sources",
        )
    return Found(folder=folder, names=tuple(sorted(names)), unreadable=unreadable)


def has_text_name(name: str) -> bool:
    """Whether a name is text: Unix allows any bytes, but arguments of tasks are stored as text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked(folder: Path) -> Path:
    if not folder.exists():
        raise DemoError(f"there is no folder {folder}", "name one that exists: durable-demo FOLDER")
    if not folder.is_dir():
        raise DemoError(f"{folder} is a file, not a folder", f"try its folder: {folder.parent}")
    folder = folder.resolve()
    try:
        with os.scandir(folder):
            return folder
    except OSError as error:
        raise DemoError(
            f"the folder {folder} is not readable: {error.strerror}",
            "name another one, or give yourself the permission to read it",
        ) from error


def _walk(folder: Path, leave_out: Path | None) -> Iterator[tuple[Path, int]]:
    """Yield files and their sizes in bytes; the size of a folder that cannot be read is -1."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError:
        yield folder, -1
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith(".") or entry.is_symlink() or path == leave_out:
            continue
        if entry.is_dir():
            if entry.name not in _NOT_SOURCES:
                yield from _walk(path, leave_out)
        elif entry.is_file():
            yield path, entry.stat().st_size


def _is_text(path: Path) -> bool | None:
    """Whether a file looks like UTF-8 text; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFFED)
    except OSError:
        return None
    if b"\0" in start:
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        # The sniffed part may end inside a character.
        return len(start) == _SNIFFED and error.start > _SNIFFED - 4
    return True
