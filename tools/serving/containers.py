"""Servers in containers: reached by a port of the loopback interface, killed and started again."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .machine import PATIENCE, NotAvailableError, free_port
from .restarting import restart_command

_FILE = "container.json"

_RECOVERY = 4 * PATIENCE
"""Seconds: a server that was killed reads its journal, on a file system of layers."""


@contextmanager
def running(one: Any, room: str, inside: int, ready: Sequence[str]) -> Generator[tuple[int, str]]:
    """Start a container of testcontainers.

    Args:
        one: The container, not yet started.
        room: The module that serves it, for the command.
        inside: The port on which the server listens in the container.
        ready: A command in the container that succeeds when the server answers.

    Yields:
        The port of the loopback interface, which stays the same after a restart, and the command
        that restarts the server.
    """
    # Nobody fetches the image of the container that would clean up: the context does so itself.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
    port = free_port()
    one.ports[str(inside)] = ("127.0.0.1", port)
    with tempfile.TemporaryDirectory(prefix="durable-container-") as name, one:
        description = {"id": one.get_wrapped_container().id, "ready": list(ready)}
        (Path(name) / _FILE).write_text(json.dumps(description), encoding="utf-8")
        yield port, restart_command(room, Path(name))


def is_container(folder: Path) -> bool:
    """Whether a folder describes a server in a container."""
    return (folder / _FILE).exists()


def restart_container(folder: Path) -> None:
    """Kill a server in a container, start it again, and wait until it answers."""
    description = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    container: str = description["id"]
    for verb in ("kill", "start"):
        command = ["docker", verb, container]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + _RECOVERY
    look = ["docker", "exec", container, *description["ready"]]
    while subprocess.run(look, check=False, capture_output=True).returncode:
        if time.monotonic() > deadline:
            msg = f"the server in container {container[:12]} did not come back"
            raise NotAvailableError(msg)
        time.sleep(0.05)
