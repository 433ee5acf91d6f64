"""What the folders say: members, storages to certify, the CI matrix.

A storage is a target as soon as its folder has `tests/test_conformance.py`. Run as a program this
prints the CI matrix as one line of JSON.
"""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CERTIFICATES = ROOT / "build" / "certificates"
# Core's own storage is called by its name, not by its distribution's.
_TARGET_NAMES = {"durable-core": "memory"}


def settings(folder: Path) -> dict[str, Any]:
    """Return the parsed `pyproject.toml` of a folder."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def members() -> list[Path]:
    """Return the folders of all workspace members, sorted by path."""
    patterns: list[str] = settings(ROOT)["tool"]["uv"]["workspace"]["members"]
    return sorted(
        path.parent for pattern in patterns for path in ROOT.glob(f"{pattern}/pyproject.toml")
    )


def published() -> list[Path]:
    """Return the folders of the members that are published, sorted by path."""
    return [
        member
        for member in members()
        if "Private :: Do Not Upload" not in settings(member)["project"]["classifiers"]
    ]


def files(*patterns: str) -> list[Path]:
    """Return the repository's files, new ones included, ignored ones not, in git's order."""
    # The clone may belong to another user than the one who runs this, as in containers.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    command = [*git, "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def targets() -> dict[str, Path]:
    """Return the storages to certify: name -> the file that certifies it, sorted by path.

    A storage with several targets (servers, drivers) has a file for each: the package's own name
    is in `test_conformance.py`, others in `test_conformance_<name>.py`.
    """
    found: dict[str, Path] = {}
    for file in sorted(ROOT.glob("packages/*/tests/test_conformance*.py")):
        package = file.parents[1].name
        own = _TARGET_NAMES.get(package, package.removeprefix("durable-"))
        name = file.stem.removeprefix("test_conformance").removeprefix("_").replace("_", "-")
        found[name or own] = file
    return found


def helpers(file: Path) -> list[Path]:
    """Return the modules beside a file of tests that its storage's certification imports."""
    package = file.parents[1].name.removeprefix("durable-")
    return sorted(file.parent.glob(f"{package}_*.py"))


def pythons() -> list[str]:
    """Return the Python versions that core's classifiers name, oldest first."""
    prefix = "Programming Language :: Python :: 3."
    classifiers: list[str] = settings(ROOT / "packages" / "durable-core")["project"]["classifiers"]
    return [line.rpartition(" ")[2] for line in classifiers if line.startswith(prefix)]


if __name__ == "__main__":
    print(json.dumps({"storage": list(targets()), "python": pythons()}))
