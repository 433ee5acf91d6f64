"""Redis, standalone."""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from . import containers
from .machine import NotAvailableError, docker
from .redis_family import PrivateRedis, container, install_redis, redis_program, running
from .restarting import restart_command

URL = "DURABLE_TEST_REDIS_URL"
"""Names a server to use; the tests make and delete namespaces of their own there."""

RESTART = "DURABLE_TEST_REDIS_RESTART"
"""A command that kills that server and starts it again; without it no test does so."""

IMAGE = "DURABLE_TEST_REDIS_IMAGE"
"""The image of a container."""


@contextmanager
def serve() -> Generator[dict[str, str]]:
    """Yield the environment in which a Redis server can be reached.

    In this order: the server that `URL` names; a container; a program on this machine.

    Raises:
        NotAvailableError: None of them; with what to install.
    """
    if URL in os.environ:
        yield {}
    elif docker():
        image = os.environ.get(IMAGE, "redis:7")
        with container(image, "redis", "redis") as (url, command):
            yield {URL: url, RESTART: command}
    else:
        program = redis_program()
        if program is None:
            msg = (
                "no Redis server: install one with `sudo apt-get install redis-server` (or `brew "
                f"install redis`), or name one that is running: {URL}=redis://…"
            )
            raise NotAvailableError(msg)
        with tempfile.TemporaryDirectory(prefix="durable-redis-") as name:
            server = PrivateRedis.make(Path(name), program)
            with running([server]):
                yield {URL: server.url, RESTART: restart_command("redis", Path(name))}


def restart(folder: Path) -> None:
    """Kill a private server and start it again."""
    if containers.is_container(folder):
        containers.restart_container(folder)
        return
    server = PrivateRedis.load(folder)
    server.kill()
    server.start()


def install() -> None:
    """Install the server's program where there is none and this may be done: root, on Debian."""
    install_redis(URL)
