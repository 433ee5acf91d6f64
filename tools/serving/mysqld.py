"""What MySQL and MariaDB have in common: a private server in a folder of its own."""

import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import containers
from .machine import PATIENCE, NotAvailableError, alive, free_port, server_of
from .restarting import restart_command

BUILD = Path(__file__).resolve().parents[2] / "build" / "servers"
"""Unpacked servers, and data directories to begin with."""

USER = "durable"
PASSWORD = "durable"  # noqa: S105 - of a server that is gone after the tests
DATABASE = "durable"

SQL = (
    f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4",
    f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'",
    f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION",
)
"""What an empty server is told, a statement each: tests make databases and users."""

_PROTOCOL = b"\x0a"
"""Begins a server's greeting, after its length."""

_SLOW: float = 2 * PATIENCE
"""Seconds until a start or an end is given up: these servers flush much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateServer:
    """A server in a folder of its own, on a port of the loopback interface; fsync stays on.

    Attributes:
        folder: Holds the data and this description, so that other processes can restart it.
        command: The program and the options that do not depend on the folder.
        port: Where it listens.
        scheme: Of its URL.
    """

    folder: str
    command: Sequence[str]
    port: int
    scheme: str

    @classmethod
    def make(
        cls, folder: Path, command: Sequence[str], scheme: str, template: Path
    ) -> "PrivateServer":
        """Make a server that begins with a copy of a template's data directory."""
        server = cls(folder=str(folder), command=command, port=free_port(), scheme=scheme)
        shutil.copytree(template, server.data)
        # Made anew by the first start: no two servers share it.
        (server.data / "auto.cnf").unlink(missing_ok=True)
        server.temporary.mkdir()
        (folder / "server.json").write_text(json.dumps(asdict(server)), encoding="utf-8")
        return server

    @classmethod
    def load(cls, folder: Path) -> "PrivateServer":
        """Return the server of a folder."""
        return cls(**json.loads((folder / "server.json").read_text(encoding="utf-8")))

    @property
    def data(self) -> Path:
        """The data directory."""
        return Path(self.folder) / "data"

    @property
    def temporary(self) -> Path:
        """The directory of temporary files."""
        return Path(self.folder) / "tmp"

    @property
    def url(self) -> str:
        """Where it can be reached."""
        return f"{self.scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def _pid_file(self) -> Path:
        return Path(self.folder) / "pid"

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = Path(self.folder) / "log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *self.command,
                    f"--datadir={self.data}",
                    # A MariaDB that starts removes the temporary tables of any other one from its
                    # folder: without one of its own, that other one fails or crashes.
                    f"--tmpdir={self.temporary}",
                    f"--socket={self.folder}/s",
                    f"--pid-file={self._pid_file}",
                    "--bind-address=127.0.0.1",
                    f"--port={self.port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + _SLOW
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                text = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                msg = f"{self.command[0]} did not start:\n{text}"
                raise NotAvailableError(msg)
            time.sleep(0.02)
        # Its end is somebody else's to wait for: `restart` may run in another process.
        process.returncode = 0

    def _answers(self) -> bool:
        """Whether it greets: nothing but its first packet is read."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.settimeout(1)
            greeting = probe.recv(5)
            return greeting[4:] == _PROTOCOL
        return False

    def _pid(self) -> int | None:
        return server_of(self._pid_file, self.folder)

    def report_if_dead(self) -> None:
        """Show the end of its log if it has ended by itself: its folder is about to be removed."""
        if self._pid() is None:
            text = (Path(self.folder) / "log").read_text(encoding="utf-8", errors="replace")
            print(f"servers: {self.command[0]} is dead:\n{text[-6000:]}", file=sys.stderr)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it, and wait for it; its data are thrown away, so it need not put them in order."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        pid = self._pid()
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + _SLOW
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        with suppress(ChildProcessError):
            # Its main thread may have ended before the others, which keep its files open.
            os.waitpid(pid, 0)
        for left in (self._pid_file, Path(self.folder) / "s", Path(self.folder) / "s.lock"):
            left.unlink(missing_ok=True)


def template(name: str, make: Callable[[Path], None]) -> Path:
    """Return a data directory to begin with, made if there is none.

    Args:
        name: Names the server's version: another version has another template.
        make: Fills an empty folder; the server that did so has ended.
    """
    there = BUILD / "templates" / name
    if not there.exists():
        there.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=there.parent, prefix=".making-") as scratch:
            fresh = Path(scratch) / "data"
            make(fresh)
            # Several processes may begin at once: the first to end gives the template.
            with suppress(OSError):
                fresh.rename(there)
    return there


def run(command: Sequence[str], *, text: str = "") -> str:
    """Run a program to its end and return what it wrote.

    Args:
        command: The program and its arguments.
        text: What it reads.

    Raises:
        NotAvailableError: It failed; with what it wrote.
    """
    # Servers make their temporary files there, and remove those that others have left.
    with tempfile.TemporaryDirectory(prefix="durable-") as own:
        done = subprocess.run(
            command, check=False, input=text.encode(), capture_output=True, cwd="/",
            env=dict(os.environ, TMPDIR=own),
        )  # fmt: skip
    said = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        msg = f"`{' '.join(command)}` failed: {said[-2000:]}"
        raise NotAvailableError(msg)
    return said


def as_root() -> list[str]:
    """Return the option that lets root run a server which would refuse."""
    return ["--user=root"] if os.geteuid() == 0 else []


@contextmanager
def private(
    room: str, names: tuple[str, str], command: Sequence[str], scheme: str, data: Path
) -> Generator[dict[str, str]]:
    """Yield the environment of a private server, ended afterwards.

    Args:
        room: The module that serves it.
        names: The variables for its URL and for the command that restarts it.
        command: See `PrivateServer`.
        scheme: Of its URL.
        data: The template.
    """
    with tempfile.TemporaryDirectory(prefix=f"durable-{room}-") as name:
        folder = Path(name)
        server = PrivateServer.make(folder, command, scheme, data)
        try:
            server.start()
            yield {names[0]: server.url, names[1]: restart_command(room, folder)}
            server.report_if_dead()
        finally:
            server.stop()


@contextmanager
def container(room: str, names: tuple[str, str], image: str) -> Generator[dict[str, str]]:
    """Yield the environment of a server in a container; for `room` and `names` see `private`."""
    module: Any = importlib.import_module("testcontainers.community.mysql")
    one = module.MySqlContainer(image, username="root", password=PASSWORD, dbname=DATABASE)
    # Both servers' images have one of these; over TCP, because the first start listens to none.
    ping = "-h127.0.0.1 -uroot -p$MYSQL_ROOT_PASSWORD ping"
    ready = ("sh", "-c", f"mariadb-admin {ping} || mysqladmin {ping}")
    with containers.running(one, room, 3306, ready) as (port, command):
        url = f"{room}://root:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"
        yield {names[0]: url, names[1]: command}


def restart(folder: Path) -> None:
    """Kill a server and start it again."""
    if containers.is_container(folder):
        containers.restart_container(folder)
        return
    server = PrivateServer.load(folder)
    server.kill()
    server.start()
