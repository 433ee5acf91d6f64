"""The how-to's examples are run as they are printed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from authors import QUIET

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "certify-your-own-storage.md"
FILES = dict(
    re.findall(r"```py\n# (\w+\.py)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{QUIET}", encoding="utf-8")
    return tmp_path


def run(project: Path, *arguments: str) -> tuple[int, str]:
    """Run a program of this environment in the project."""
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith("DURABLE_")
    }
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=project, env={**environment, "PYTHONPATH": str(project)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def certificate(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def test_the_test_file_is_as_short_as_it_says() -> None:
    lines = [line for line in FILES["test_conformance.py"].splitlines() if line.strip()]
    assert len(lines) <= 15


def test_the_storage_of_the_guide_is_certified(project: Path) -> None:
    tests = project / "tests"
    tests.mkdir()
    (project / "test_conformance.py").rename(tests / "test_conformance.py")
    status, output = run(project, "durable_conformance", "certify", "foo")
    assert status == 0, output
    one = certificate(project / "build" / "certificates" / "foo.json")
    assert (one["level"], one["storage"]) == ("Contract", "durable_foo:FooStorage")
    line = next(line for line in output.splitlines() if "CERTIFIED" in line)
    assert line in GUIDE.read_text(encoding="utf-8"), "the guide shows another summary"


def test_the_types_of_the_guide_are_right(project: Path) -> None:
    files = [str(project / name) for name in FILES]
    status, output = run(project, "mypy", "--strict", "--cache-dir", os.devnull, *files)
    assert status == 0, output


def test_the_caller_of_the_guide_proves_bind(project: Path) -> None:
    status, output = run(
        project,
        "pytest",
        "-q",
        "test_conformance_sqlite.py",
        "-k",
        "bind",
        "--durable-certificate=c.json",
    )
    assert status == 1, output
    promises = certificate(project / "c.json")["promises"]
    assert {promises[f"BIND-{number}"] for number in range(1, 5)} == {"passed"}
    assert promises["CLAIM-1"] == "not run", "a part of the checks does not certify"
