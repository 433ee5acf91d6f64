"""Servers for the tests of storages: one that is there, or a private one that is gone afterwards.

`python tools/servers.py run postgres,redis -- <command>` runs a command with servers; `restart
<room> <folder>` kills a private one with SIGKILL and starts it again.

A room is a module of `serving`. It has `serve` (a context manager that yields the environment in
which the server can be reached), `install` (what may be installed is installed) and `restart`.
"""

import os
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from serving import mariadb, mongodb, mysql, postgres, redis, redis_cluster, valkey
from serving.machine import NotAvailableError, free_port, other_user

__all__ = [
    "ROOMS",
    "NotAvailableError",
    "Room",
    "free_port",
    "install",
    "mariadb",
    "mongodb",
    "mysql",
    "other_user",
    "postgres",
    "redis",
    "redis_cluster",
    "servers",
    "valkey",
]


class Room(Protocol):
    """What each module of `serving` has."""

    def serve(self) -> AbstractContextManager[dict[str, str]]:
        """Yield the environment in which a server can be reached."""
        ...

    def install(self) -> None:
        """Install what the server needs and lacks, where this may be done: root, on Debian."""
        ...

    def restart(self, folder: Path) -> None:
        """Kill a private server and start it again."""
        ...


ROOMS: Mapping[str, Room] = {
    "mariadb": mariadb,
    "mongodb": mongodb,
    "mongodb-motor": mongodb,
    "mysql": mysql,
    "postgres": postgres,
    "redis": redis,
    "redis-cluster": redis_cluster,
    "redis-everysec": redis,
    "valkey": valkey,
}
"""By the name of the target that needs the server; other targets need none."""


def install(names: Iterable[str] | None = None) -> None:
    """Install what the servers of targets need; None: of all targets.

    Raises:
        NotAvailableError: What is missing could not be installed.
    """
    for name in ROOMS if names is None else names:
        if name in ROOMS:
            ROOMS[name].install()


@contextmanager
def servers(names: Iterable[str]) -> Generator[Mapping[str, str]]:
    """Yield the environment with the servers that targets need, started in turn."""
    environment: dict[str, str] = {}
    with ExitStack() as stack:
        for name in names:
            if name in ROOMS:
                environment |= stack.enter_context(ROOMS[name].serve())
        yield environment


def main(arguments: list[str]) -> int:
    """Run a command with servers, or restart one."""
    match arguments:
        case ["restart", room, folder]:
            ROOMS[room].restart(Path(folder))
            return 0
        case ["run", names, "--", *command] if command:
            install(names.split(","))
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
