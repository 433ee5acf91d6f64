"""Random walks over the protocol: every kind of call, with sensible and with stale arguments."""

from random import Random

from durable_core.storage import (
    FINISHED,
    UNFINISHED,
    Finish,
    Keep,
    MemoryStorage,
    NewExecution,
    OnCancel,
    Phase,
    Record,
    Release,
    Settle,
    Token,
    Transition,
    Wake,
)

from .watcher import Watcher

EXECUTORS = ("e0", "e1", "e2")
TASKS = ("t0", "t1", "$b")
QUEUES = ("q0", "q1")
KEYS = ("k0", "k1", "k2")
TTL = 40

_UNFINISHED = sorted(UNFINISHED)
_FINISHED = sorted(FINISHED)


class Walk:
    """Chooses one call after the other.

    Args:
        seed: Makes all choices.
        storage: Where; by default a new one.
    """

    def __init__(self, seed: int, storage: MemoryStorage | None = None) -> None:
        self.random = Random(seed)
        self.watcher = Watcher(storage or MemoryStorage())
        self.now = 1_000
        self._number = 0
        self._tokens: list[tuple[str, Token]] = []

    def step(self) -> None:
        """Make one call."""
        self.now += self.random.randrange(6)
        kind = self.random.choices(
            ("insert", "claim", "apply", "wake", "cancel", "heartbeat", "reap", "purge"),
            (4, 6, 10, 3, 3, 3, 2, 1),
        )[0]
        getattr(self, f"_{kind}")()

    def new(self, parent: Record | None = None) -> NewExecution:
        """Return something to insert, sometimes under a name that exists."""
        self._number += 1
        random = self.random
        rows = list(self.watcher.rows)
        again = bool(rows) and random.random() < 0.1
        sleeper = random.random() < 0.3
        later = self.now + random.randrange(60)
        return NewExecution(
            id=random.choice(rows) if again else f"x{self._number}",
            task=random.choice(TASKS[:2] if sleeper else TASKS),
            queue=random.choice(QUEUES),
            key=random.choice((None, None, *KEYS)) if parent is None else None,
            wake_key=random.choice(KEYS) if sleeper else None,
            parent_id=None if parent is None else parent.id,
            root_id=None if parent is None else parent.root_id,
            child_index=random.randrange(-1, 5),
            on_cancel=random.choice(tuple(OnCancel)),
            priority=random.randrange(-2, 3),
            phase=Phase.SLEEPING if sleeper else Phase.READY,
            due=random.choice((0, self.now, later, None) if sleeper else (0, self.now, later)),
            owner=random.choice((None, None, *EXECUTORS)),
            input=bytes([random.randrange(256)]),
        )

    def _insert(self) -> None:
        self.watcher.insert(self.new(), self.now)

    def _claim(self) -> None:
        random = self.random
        rows = list(self.watcher.rows)
        ids = random.sample(rows, min(2, len(rows))) if random.random() < 0.2 else None
        for record in self.watcher.claim(
            random.choice(EXECUTORS),
            self.now,
            tasks=random.sample(TASKS[:2], random.randrange(3)),
            queues=random.sample(QUEUES, random.randrange(3)),
            limit=random.randrange(4),
            ids=ids,
        ):
            self._tokens.append((record.id, record.token))

    def _apply(self) -> None:
        rows = self.watcher.rows
        held = [(row.id, row.token) for row in rows.values() if row.owner is not None]
        stale = [(id_, token) for id_, token in self._tokens[-20:] if self.random.random() < 0.2]
        choices = held or stale if self.random.random() < 0.8 else stale
        if choices:
            id_, token = self.random.choice(choices)
            self.watcher.apply(self._transition(id_, token, rows.get(id_)), self.now)

    def _transition(self, id_: str, token: Token, row: Record | None) -> Transition:
        random = self.random
        finished = row is not None and row.finished
        fitting = ("settle",) if finished else ("keep", "release", "finish")
        kind = random.choice((*fitting * 4, "keep", "release", "finish", "settle"))
        parent_id = None if row is None else row.parent_id
        later = random.choice((None, 0, self.now, self.now + random.randrange(30)))
        if kind == "settle":
            return Settle(id=id_, token=token, parent_id=parent_id, due=later)
        if kind == "finish":
            return Finish(
                id=id_,
                token=token,
                parent_id=parent_id,
                phase=random.choice(_FINISHED),
                output=b"out",
                error=None,
                checkpoints={"end": b"1"},
            )
        children = [self.new(row) for _ in range(random.randrange(3))] if row is not None else []
        seen = random.random() < 0.5
        sleeper = row is not None and row.wake_key is not None
        if kind == "keep":
            return Keep(
                id=id_,
                token=token,
                parent_id=parent_id,
                state=b"kept",
                reset_crashes=random.random() < 0.5,
                children=children,
                checkpoints={random.choice(KEYS): b"2"},
                cancel_seen=seen,
            )
        return Release(
            id=id_,
            token=token,
            parent_id=parent_id,
            phase=Phase.SLEEPING if sleeper else random.choice(_UNFINISHED),
            due=later,
            attempt=random.randrange(4),
            join_at=random.choice((-1, 0, 0, 1)),
            priority=random.randrange(-2, 3),
            children=children,
            cancel_seen=seen,
        )

    def _wake(self) -> None:
        random = self.random
        self._number += 1
        rows = [row.id for row in self.watcher.rows.values() if row.wake_key is not None]
        by_id = bool(rows) and random.random() < 0.3
        self.watcher.wake(
            Wake(
                task=random.choice(TASKS[:2]),
                wake_key=None if by_id else random.choice(KEYS),
                id=random.choice(rows) if by_id else None,
                phase=random.choice((Phase.COMPLETED, Phase.FAILED)),
                payload=random.choice((None, b"", b"payload")),
                request=f"w{random.randrange(max(1, self._number - 2), self._number + 1)}",
                keep_until=random.choice((None, self.now - 1, self.now + 30)),
            ),
            self.now,
        )

    def _cancel(self) -> None:
        rows = list(self.watcher.rows) or ["nobody"]
        request = f"c{self.random.randrange(self._number + 1)}"
        self.watcher.cancel(self.random.choice(rows), request, self.now)

    def _heartbeat(self) -> None:
        random = self.random
        ttl = 0 if random.random() < 0.1 else TTL
        self.watcher.heartbeat(
            random.choice(EXECUTORS), ttl, self.now, register=random.random() < 0.4
        )

    def _reap(self) -> None:
        self.watcher.reap_one(self.now)

    def _purge(self) -> None:
        self.watcher.purge(self.now - self.random.randrange(30), self.random.randrange(4))
