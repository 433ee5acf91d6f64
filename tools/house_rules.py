"""Rules of this repository that no linter knows; prints all violations, fails if there is one."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from workspace import ROOT, files, members, published, settings

MAX_LINES = 400
# Pins and settings name no server: everybody installs from the index of their own choice.
_ADDRESS = re.compile(r"\b[a-z]+://", re.IGNORECASE)
_PINS = {".txt", ".toml", ".lock", ".cfg", ".ini"}
_ABSOLUTE_PATH = re.compile(r"(?<![\w./~-])/(?:home|root|Users|work|private|mnt)/[\w.-]")
_LOCKS = {"uv.lock", "pylock.toml", "package-lock.json"}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def _length(path: Path, lines: list[str]) -> Iterator[str]:
    if path.suffix == ".py" and len(lines) > MAX_LINES:
        yield f"{len(lines)} lines; a module is one concept in at most {MAX_LINES}: split it"


def _addresses(path: Path, lines: list[str]) -> Iterator[str]:
    if path.name in _LOCKS:
        yield "names the index it was resolved from: leave it out, see `nox -s lock`"
    if path.suffix in _PINS:
        for number, line in enumerate(lines, 1):
            if _ADDRESS.search(line):
                yield f"line {number}: an address among pins or settings: {line.strip()[:80]}"


def _machine_paths(_path: Path, lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if _ABSOLUTE_PATH.search(line) or str(ROOT) in line:
            yield f"line {number}: a path of somebody's machine: {line.strip()[:80]}"


def _packages() -> Iterator[str]:
    projects = {member: settings(member)["project"] for member in members()}
    versions = {project["version"] for project in projects.values()}
    if len(versions) != 1:
        yield f"members have several versions, not one: {sorted(versions)}"
    names = {project["name"] for project in projects.values()}
    for member, project in projects.items():
        place = member.relative_to(ROOT)
        extras = project.get("optional-dependencies", {}).values()
        for requirement in [*project["dependencies"], *(one for extra in extras for one in extra)]:
            name, _, version = requirement.partition("==")
            if name in names and version != project["version"]:
                yield f"{place}: requires {requirement}, not the version of all members"
            elif name.startswith("durable-") and name not in names:
                yield f"{place}: requires {requirement}, which is not pinned with =="
        if not any(member.glob("src/*/py.typed")):
            yield f"{place}: has no src/<import>/py.typed"
        if not (member / "README.md").is_file():
            yield f"{place}: has no README.md"


def _licences() -> Iterator[str]:
    # Copies, because a link would dangle inside a source distribution.
    text = (ROOT / "LICENSE").read_bytes()
    for member in published():
        copy = member / "LICENSE"
        if not copy.is_file() or copy.read_bytes() != text:
            yield f"{copy.relative_to(ROOT)}: is not a copy of the repository's LICENSE"


def violations() -> Iterator[str]:
    """Yield what breaks a rule, file by file."""
    for path in files():
        lines = _lines(path)
        for rule in (_length, _addresses, _machine_paths):
            for text in rule(path, lines):
                yield f"{path.relative_to(ROOT)}: {text}"
    yield from _packages()
    yield from _licences()


if __name__ == "__main__":
    found = list(violations())
    print("\n".join(found) or "house rules: kept")
    sys.exit(bool(found))
