"""How much of everything a kill run does."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One kill run.

    Attributes:
        target: On which storage.
        executions: So many are made at least, children included.
        workers: Processes at work at the same time.
        kills: So many workers are killed at random moments, and replaced at once.
        restarts: So many times the server is killed and started again, in even parts of the run.
        backlog: So many executions are kept unfinished while there are more to enqueue.
        concurrency: Executions at once in each worker.
        lease: Seconds until a dead worker's executions are taken over.
        patience: Seconds for everything to end after the last kill.
        seed: Of all chance.
    """

    target: str
    executions: int = 30_000
    workers: int = 4
    kills: int = 20
    restarts: int = 3
    backlog: int = 2_000
    concurrency: int = 20
    lease: float = 2.0
    patience: float = 120.0
    seed: int = 20261125
