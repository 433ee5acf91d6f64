"""An author's project, in which pytest runs in a process of its own."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREAMBLE = """
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from durable_conformance import StorageConformance
from durable_core.storage import MemoryStorage, TooLargeError


class Memory(StorageConformance):
    kind = MemoryStorage

    def __init_subclass__(cls):
        cls.spaces = {}

    @asynccontextmanager
    async def open(self, namespace):
        storage = self.kind(sharing=self.spaces.setdefault(namespace, self.kind()))
        yield storage
        await storage.close()
"""

HONEST = """
class TestFoo(Memory):
    pass
"""

QUIET = "asyncio_default_fixture_loop_scope = function\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run of pytest left behind.

    Attributes:
        status: The exit status.
        output: Everything it printed.
        certificates: By class.
    """

    status: int
    output: str
    certificates: Mapping[str, dict[str, Any]]

    @property
    def lines(self) -> list[str]:
        """The lines of the verdict."""
        return [line for line in self.output.splitlines() if line.startswith("durable-conf")]

    def certified(self, name: str = "TestFoo") -> bool:
        """Whether a class was certified; its line and its certificate must agree."""
        line = next(line for line in self.lines if f" {name}: " in line)
        yes = f"{name}: CERTIFIED at level Contract (" in line
        assert yes is ("NOT CERTIFIED" not in line), self.output
        assert yes or self.status != 0, "not certified, but green"
        one = self.certificates.get(name)
        if one is not None:
            assert one["certified"] is yes
            assert one["level"] == ("Contract" if yes else None)
            assert bool(one["reasons"]) is not yes
        return yes


class Project:
    """A folder with a test file and settings.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "certificate.json"

    def run(
        self,
        source: str,
        *arguments: str,
        settings: str = "",
        certificate: bool = True,
    ) -> Run:
        """Run pytest on a test file."""
        text = PREAMBLE + textwrap.dedent(source)
        (self.folder / "test_foo.py").write_text(text, encoding="utf-8")
        (self.folder / "pytest.ini").write_text(f"[pytest]\n{QUIET}{settings}", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "--durable-rows=100"]
        command += arguments
        if certificate:
            command += ["--durable-certificate", str(self.certificate)]
        mine = ("PYTEST_", "DURABLE_")
        environment = {name: text for name, text in os.environ.items() if not name.startswith(mine)}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, check=False, capture_output=True, text=True
        )
        output = done.stdout + done.stderr
        return Run(status=done.returncode, output=output, certificates=self._certificates())

    def _certificates(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for path in self.folder.glob("certificate*.json"):
            one: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            found[one.get("class", "")] = one
        return found
