"""Finding what a target means, and running pytest on it."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_FILE = "tests/test_conformance.py"
_PREFIX = "durable-"


def certify(
    target: str,
    *,
    certificate: Path | None,
    name: str | None,
    rows: int | None,
    seed: int | None,
    more: Sequence[str],
) -> int:
    """Certify a target and write its certificate.

    Args:
        target: A file, ``file::Class`` or a short name.
        certificate: Where to write it; None in build/certificates of the project.
        name: The name in the certificate; None makes one from the target.
        rows: Rows in the crowded queues; None the default.
        seed: The run's seed; None a new one.
        more: More arguments for pytest.

    Returns:
        0 certified, 1 not certified, 2 no such target.
    """
    root = Path.cwd()
    node = target
    if not Path(target.partition("::")[0]).is_file():
        found = _find(target)
        if found is None:
            return 2
        root, node = found
        name = name or target
    name = name or _name_of(node)
    path = (certificate or root / "build" / "certificates" / f"{name}.json").absolute()
    command = [sys.executable, "-m", "pytest", node, "-p", "durable_conformance"]
    command += ["--durable-certificate", str(path), "--durable-target", name]
    command += [] if rows is None else ["--durable-rows", str(rows)]
    command += [] if seed is None else ["--durable-seed", str(seed)]
    done = subprocess.run([*command, *more], check=False)  # noqa: S603 - it runs the user's tests
    certified = done.returncode == 0 and _says_certified(path)
    if path.is_file():
        sys.stdout.write(f"durable-conformance: certificate in {path}\n")
    return 0 if certified else 1


def _says_certified(path: Path) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["certified"] is True
    except (OSError, ValueError, KeyError):
        return False


def _find(short: str) -> tuple[Path, str] | None:
    """Return the project and the pytest target that a short name stands for, or complain."""
    known: dict[str, str] = {}
    root, paths = _project()
    for file in paths:
        folder = file.parents[1].name
        known.update({_short(one): f"{file}::{one}" for one in _classes(file)})
        if folder.startswith(_PREFIX):
            known[folder.removeprefix(_PREFIX)] = str(file)
    if short in known:
        return root, known[short]
    there = f"; there are {', '.join(sorted(known))}" if known else f": no {_FILE} from here up"
    sys.stderr.write(f"durable-conformance: no file and no storage {short!r}{there}\n")
    return None


def _project() -> tuple[Path, list[Path]]:
    """Return the project around the current folder and its files that certify.

    The project is the repository, where there is one; else the nearest folder that has such files.
    """
    found: list[tuple[Path, list[Path]]] = []
    here = Path.cwd()
    for root in (here, *here.parents):
        files = sorted(path for depth in ("", "*/", "*/*/") for path in root.glob(depth + _FILE))
        if files:
            found.append((root, files))
        if (root / ".git").exists():
            return found[-1] if found else (here, [])
    return found[0] if found else (here, [])


def _classes(file: Path) -> Iterator[str]:
    """Yield the names of the test classes of a file, without importing it."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield node.name


def _short(class_name: str) -> str:
    return class_name.removeprefix("Test").lower()


def _name_of(node: str) -> str:
    file, _, class_name = node.partition("::")
    return _short(class_name or next(_classes(Path(file)), Path(file).stem))
