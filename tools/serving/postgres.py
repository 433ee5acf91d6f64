"""PostgreSQL, and the pooler before it."""

import hashlib
import importlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import containers
from .machine import (
    PATIENCE,
    NotAvailableError,
    alive,
    apt,
    docker,
    free_port,
    group_of,
    may_install,
    other_user,
    server_of,
)
from .restarting import restart_command

URL = "DURABLE_TEST_POSTGRES_URL"
"""Names a server to use; a database in which schemas may be created and dropped."""

RESTART = "DURABLE_TEST_POSTGRES_RESTART"
"""A command that kills that server and starts it again; without it no test does so."""

BIN = "DURABLE_TEST_POSTGRES_BIN"
"""The folder of the server's programs, where several versions are installed; no container then."""

IMAGE = "DURABLE_TEST_POSTGRES_IMAGE"
"""The image of a container."""

_TEMPLATES = Path(__file__).resolve().parents[2] / "build" / "servers"
"""Where clusters are kept to be copied: to make one anew takes a second or two."""

_USER = "durable"
_PASSWORD = "durable"  # noqa: S105 - of a container that lives for a test, on loopback

_INITDB = (
    "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions",
)  # fmt: skip

_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivatePostgres:
    """A PostgreSQL server in a folder of its own, on a port of the loopback interface.

    Attributes:
        folder: Holds the data and this description, so that other processes can restart it.
        programs: Where `initdb` and `postgres` are.
        port: Where it listens.
        user: As whom it runs; it refuses to be root.
    """

    folder: str
    programs: str
    port: int
    user: str | None

    @classmethod
    def make(cls, folder: Path, programs: Path) -> "PrivatePostgres":
        """Make an empty database cluster, copied from one that was made before; fsync stays on."""
        user = other_user()
        server = cls(folder=str(folder), programs=str(programs), port=free_port(), user=user)
        if user is not None:
            shutil.chown(folder, user)
        template = _TEMPLATES / server._kind()
        if template.is_dir():
            shutil.copytree(template, server.data, symlinks=True)
            server._own_data()
        else:
            server._run("initdb", "-D", str(server.data), *_INITDB)
            server._keep(template)
        (folder / "server.json").write_text(json.dumps(asdict(server)), encoding="utf-8")
        return server

    def _kind(self) -> str:
        """Return a name that only clusters of this version, made in this way, have."""
        command = [f"{self.programs}/postgres", "--version"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
        made = hashlib.blake2b(" ".join(_INITDB).encode(), digest_size=4).hexdigest()
        return f"{re.sub('[^A-Za-z0-9.]+', '-', done.stdout.strip())}-{made}"

    def _keep(self, template: Path) -> None:
        """Keep a copy of the new cluster for those that follow; several may be at it at once."""
        try:
            template.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=template.parent) as name:
                copy = Path(name) / "data"
                shutil.copytree(self.data, copy, symlinks=True)
                copy.rename(template)
        except OSError:
            # Somebody was faster, or nothing can be kept here.
            return

    def _own_data(self) -> None:
        if self.user is None:
            return
        account = pwd.getpwnam(self.user)
        for path in (self.data, *self.data.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)

    @classmethod
    def load(cls, folder: Path) -> "PrivatePostgres":
        """Return the server of a folder."""
        return cls(**json.loads((folder / "server.json").read_text(encoding="utf-8")))

    @property
    def data(self) -> Path:
        """The database cluster."""
        return Path(self.folder) / "data"

    @property
    def url(self) -> str:
        """Where it can be reached."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        if self._has_statistics():
            options += " -c shared_preload_libraries=pg_stat_statements"
        log = Path(self.folder) / "data" / "server.log"
        command = ("pg_ctl", "start", "-w", "-s", "-D", str(self.data), "-l", str(log))
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._run(*command, "-o", options)
            except NotAvailableError as error:
                # The children of one that was killed see that it is gone, and go.
                if time.monotonic() > deadline:
                    text = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                    msg = f"PostgreSQL did not start: {error}\n{text}"
                    raise NotAvailableError(msg) from None
            time.sleep(0.05)

    def _has_statistics(self) -> bool:
        """Whether the server comes with the extension that counts statements."""
        libraries = Path(self.programs).parent / "lib"
        return any(libraries.rglob("pg_stat_statements.so"))

    def _pid(self) -> int | None:
        return server_of(self.data / "postmaster.pid", self.folder)

    def kill(self) -> None:
        """End it as a power failure would."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + PATIENCE
            while alive(pid) and time.monotonic() < deadline:
                time.sleep(0.01)
            (self.data / "postmaster.pid").unlink()

    def stop(self) -> None:
        """End it at once, and wait for it."""
        if self._pid() is not None:
            self._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate", "-D", str(self.data))

    def _run(self, program: str, *arguments: str) -> None:
        # Not into pipes: a server that is started would inherit them and keep them open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [f"{self.programs}/{program}", *arguments],
                check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                cwd="/", user=self.user, group=None if self.user is None else group_of(self.user),
            )  # fmt: skip
            output.seek(0)
            text = output.read().decode(errors="replace")
        if done.returncode:
            msg = f"{program} failed: {text}"
            raise NotAvailableError(msg)


def programs() -> Path | None:
    """Return the folder of the newest installed server's programs."""
    named = os.environ.get(BIN)
    if named:
        return Path(named)
    found = [path for pattern in _PLACES for path in Path("/").glob(pattern[1:])]
    found = [path for path in found if (path / "postgres").exists() and (path / "initdb").exists()]
    if found:
        return max(found, key=_version)
    on_path = shutil.which("postgres")
    return None if on_path is None else Path(on_path).resolve().parent


def pgbouncer() -> str | None:
    """Return the program of the transaction pooler, if it is installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def _version(path: Path) -> int:
    digits = "".join(letter for letter in path.parent.name if letter.isdigit())
    return int(digits or 0)


@contextmanager
def _container() -> Generator[dict[str, str]]:
    module: Any = importlib.import_module("testcontainers.community.postgres")
    one = module.PostgresContainer(
        os.environ.get(IMAGE, "postgres:16"), username=_USER, password=_PASSWORD
    )
    ready = ("pg_isready", "-q", "-h", "127.0.0.1", "-U", _USER)
    with containers.running(one, "postgres", 5432, ready) as (port, command):
        url = f"postgresql://{_USER}:{_PASSWORD}@127.0.0.1:{port}/{one.dbname}"
        yield {URL: url, RESTART: command}


@contextmanager
def serve() -> Generator[dict[str, str]]:
    """Yield the environment in which a PostgreSQL server can be reached.

    In this order: the server that `URL` names; the programs that `BIN` names; a container; programs
    on this machine.

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
    """Yield the environment of a server that runs the programs on this machine.

    Raises:
        NotAvailableError: There are none.
    """
    found = programs()
    if found is None:
        msg = (
            "no PostgreSQL server: install one with `sudo apt-get install postgresql` (or `brew "
            f"install postgresql@17`), or name one that is running: {URL}=postgresql://…"
        )
        raise NotAvailableError(msg)
    with tempfile.TemporaryDirectory(prefix="durable-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PrivatePostgres.make(folder, found)
        try:
            server.start()
            yield {URL: server.url, RESTART: restart_command("postgres", folder)}
        finally:
            server.stop()


def restart(folder: Path) -> None:
    """Kill a private server and start it again."""
    if containers.is_container(folder):
        containers.restart_container(folder)
        return
    server = PrivatePostgres.load(folder)
    server.kill()
    server.start()


def install() -> None:
    """Install the server's programs where there are none and this may be done: root, on Debian."""
    if not may_install():
        return
    if pgbouncer() is None:
        print("servers: installing PgBouncer from Debian packages", file=sys.stderr, flush=True)
        apt("update", "-q")
        apt("install", "-q", "-y", "--no-install-recommends", "pgbouncer")
    if URL in os.environ or programs() is not None:
        return
    print("servers: installing PostgreSQL from Debian packages", file=sys.stderr, flush=True)
    apt("update", "-q")
    apt("install", "-q", "-y", "--no-install-recommends", "postgresql-common")
    # The tests start servers of their own; one that runs for ever is not what they are for.
    settings = Path("/etc/postgresql-common/createcluster.conf")
    with settings.open("a", encoding="utf-8") as file:
        file.write("create_main_cluster = false\n")
    apt("install", "-q", "-y", "--no-install-recommends", "postgresql")
