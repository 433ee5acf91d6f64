"""What an executor is told at its making."""

from collections.abc import Sequence
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
