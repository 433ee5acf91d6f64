"""What an executor is told at its making."""

import json
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an executor is told at its making; times in seconds, sizes in bytes."""

    name: str
    queues: Sequence[str]
    concurrency: int
    lease: float
    poll_interval: float | None
    max_input: int
    max_output: int
    migrate: bool
    client_only: bool
    shutdown_timeout: float
    crash_limit: int
    threads: int
    processes: int
    retention: float | None
    patience: float

    def about(self, tasks: Iterable[str]) -> bytes:
        """Return what the executor says of itself with its lease, as JSON.

        Args:
            tasks: Names of the tasks that it knows.
        """
        return json.dumps(
            {
                "name": self.name,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "queues": list(self.queues),
                "tasks": sorted(tasks),
            }
        ).encode()
