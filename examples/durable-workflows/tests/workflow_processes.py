"""Processes that are killed: forked from a server that has imported everything."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["transaction_worker", "crowd_worker", "sqlalchemy.ext.asyncio"])
    return context


class Child:
    """A process with a pipe.

    Args:
        target: Its main function: of a connection, the path to import from, the environment, and
            the arguments.
        arguments: What it is given besides.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        here, there = _context().Pipe()
        self.pipe: Connection = here
        self.process: BaseProcess = _context().Process(
            target=_child, args=(target, there, list(sys.path), dict(os.environ), arguments)
        )
        self.process.start()
        there.close()

    def kill(self) -> None:
        """Kill it, if it lives, and wait for its end."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    def told(self) -> list[Any]:
        """Wait for its end and return what it has sent."""
        messages: list[Any] = []
        try:
            while True:
                messages.append(self.pipe.recv())
        except EOFError:
            self.process.join()
            return messages


def _child(
    target: Callable[..., None],
    pipe: Connection,
    path: list[str],
    environment: dict[str, str],
    arguments: tuple[Any, ...],
) -> None:
    # The server was forked before the servers of the targets were there.
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environment)
    target(pipe, *arguments)
