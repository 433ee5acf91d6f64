"""Servers for the tests of storages: one that is there, or a private one that is gone afterwards.

`python tools/servers.py run postgres -- <command>` runs a command with a server; `restart <folder>`
kills a private one with SIGKILL and starts it again.
"""

import importlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

POSTGRES_URL = "DURABLE_TEST_POSTGRES_URL"
"""Names a server to use; a database in which schemas may be created and dropped."""

POSTGRES_RESTART = "DURABLE_TEST_POSTGRES_RESTART"
"""A command that kills that server and starts it again; without it no test does so."""

POSTGRES_BIN = "DURABLE_TEST_POSTGRES_BIN"
"""The folder of the server's programs, where several versions are installed."""

_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
_PATIENCE = 30.0


class NotAvailableError(Exception):
    """There is no server, and none can be started; the text says what to install."""


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
        """Make an empty database cluster; fsync stays on."""
        user = other_user()
        server = cls(folder=str(folder), programs=str(programs), port=free_port(), user=user)
        if user is not None:
            shutil.chown(folder, user)
        server._run(
            "initdb", "-D", str(server.data), "-U", "durable", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-instructions",
        )  # fmt: skip
        (folder / "server.json").write_text(json.dumps(asdict(server)), encoding="utf-8")
        return server

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
        return f"postgresql://durable@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        log = Path(self.folder) / "data" / "server.log"
        command = ("pg_ctl", "start", "-w", "-s", "-D", str(self.data), "-l", str(log))
        deadline = time.monotonic() + _PATIENCE
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

    def _pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n")[0])
        except (FileNotFoundError, ValueError):
            return None

    def kill(self) -> None:
        """End it as a power failure would."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + _PATIENCE
            while _alive(pid) and time.monotonic() < deadline:
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
                cwd="/", user=self.user, group=None if self.user is None else _group_of(self.user),
            )  # fmt: skip
            output.seek(0)
            text = output.read().decode(errors="replace")
        if done.returncode:
            msg = f"{program} failed: {text}"
            raise NotAvailableError(msg)


def _alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] != "Z"


def other_user() -> str | None:
    """Return as whom a server runs that refuses to be root; None if we are not root.

    Raises:
        NotAvailableError: There is nobody.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    msg = "PostgreSQL refuses to run as root, and there is no user 'postgres' or 'nobody'"
    raise NotAvailableError(msg)


def _group_of(user: str) -> str:
    import grp  # noqa: PLC0415 - with pwd, where there are users

    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def postgres_programs() -> Path | None:
    """Return the folder of the newest installed server's programs."""
    named = os.environ.get(POSTGRES_BIN)
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
def _container() -> Generator[dict[str, str] | None]:
    """Yield a server in a container, None where there is no Docker or no testcontainers."""
    try:
        module: Any = importlib.import_module("testcontainers.community.postgres")
    except ImportError:
        yield None
        return
    if subprocess.run(["docker", "info"], check=False, capture_output=True).returncode:  # noqa: S607
        yield None
        return
    image = os.environ.get("DURABLE_TEST_POSTGRES_IMAGE", "postgres:16")
    with module.PostgresContainer(image) as one:
        yield {POSTGRES_URL: one.get_connection_url(driver=None)}


@contextmanager
def postgres() -> Generator[dict[str, str]]:
    """Yield the environment in which a PostgreSQL server can be reached.

    In this order: the server that `POSTGRES_URL` names; a container; programs on this machine.

    Raises:
        NotAvailableError: None of them; with what to install.
    """
    if POSTGRES_URL in os.environ:
        yield {}
        return
    with ExitStack() as stack:
        found = stack.enter_context(_container()) if shutil.which("docker") else None
        yield stack.enter_context(_private()) if found is None else found


@contextmanager
def _private() -> Generator[dict[str, str]]:
    programs = postgres_programs()
    if programs is None:
        msg = (
            "no PostgreSQL server: install one with `sudo apt-get install postgresql` (or `brew "
            f"install postgresql@17`), or name one that is running: {POSTGRES_URL}=postgresql://…"
        )
        raise NotAvailableError(msg)
    with tempfile.TemporaryDirectory(prefix="durable-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PrivatePostgres.make(folder, programs)
        try:
            server.start()
            restart = [sys.executable, str(Path(__file__).resolve()), "restart", name]
            yield {POSTGRES_URL: server.url, POSTGRES_RESTART: json.dumps(restart)}
        finally:
            server.stop()


def install_postgres() -> None:
    """Install the server's programs where there are none and this may be done: root, on Debian."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    if pgbouncer() is None:
        print("servers: installing PgBouncer from Debian packages", file=sys.stderr, flush=True)
        _apt("update", "-q")
        _apt("install", "-q", "-y", "--no-install-recommends", "pgbouncer")
    if POSTGRES_URL in os.environ or postgres_programs() is not None:
        return
    print("servers: installing PostgreSQL from Debian packages", file=sys.stderr, flush=True)
    _apt("update", "-q")
    _apt("install", "-q", "-y", "--no-install-recommends", "postgresql-common")
    # The tests start servers of their own; one that runs for ever is not what they are for.
    settings = Path("/etc/postgresql-common/createcluster.conf")
    with settings.open("a", encoding="utf-8") as file:
        file.write("create_main_cluster = false\n")
    _apt("install", "-q", "-y", "--no-install-recommends", "postgresql")


def _apt(*arguments: str) -> None:
    # dpkg refuses to work when the sbin folders are not on PATH.
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    # What is installed is for the tests, which start their own: no service begins to run.
    environment["RUNLEVEL"] = "1"
    environment["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
    if subprocess.run(command, check=False, stdout=sys.stderr, env=environment).returncode:
        msg = f"`{' '.join(command)}` failed: see above"
        raise NotAvailableError(msg)


INSTALLERS = {"postgres": install_postgres}
"""By the name of the storage that needs what they install."""

SERVERS = {"postgres": postgres}
"""By the name of the storage that needs them."""


@contextmanager
def servers(names: Sequence[str]) -> Generator[Mapping[str, str]]:
    """Yield the environment with the servers that storages need, started in turn."""
    environment: dict[str, str] = {}
    with ExitStack() as stack:
        for name in names:
            if name in SERVERS:
                INSTALLERS[name]()
                environment |= stack.enter_context(SERVERS[name]())
        yield environment


def main(arguments: list[str]) -> int:
    """Run a command with servers, or restart one."""
    match arguments:
        case ["restart", folder]:
            server = PrivatePostgres.load(Path(folder))
            server.kill()
            server.start()
            return 0
        case ["run", names, "--", *command] if command:
            with servers(names.split(",")) as environment:
                return subprocess.run(
                    command, check=False, env={**os.environ, **environment}
                ).returncode
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NotAvailableError as error:
        sys.exit(f"servers: {error}")
