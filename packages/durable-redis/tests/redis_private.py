"""Servers with options of their own, for the worst days that the shared one must not have."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from serving.machine import NotAvailableError
from serving.redis_family import PrivateRedis, redis_program, running, valkey_program


@contextmanager
def private_server(*options: str, valkey: bool = False) -> Generator[PrivateRedis]:
    """Start a server, and kill it at the end."""
    program = valkey_program() if valkey else redis_program() or valkey_program()
    if program is None:
        msg = "no server for this test: `sudo apt-get install redis-server`"
        raise NotAvailableError(msg)
    with tempfile.TemporaryDirectory(prefix="durable-redis-own-") as name:
        server = PrivateRedis.make(Path(name), program, options=options)
        with running([server]):
            yield server
