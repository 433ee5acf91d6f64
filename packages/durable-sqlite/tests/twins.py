"""The same random calls for SQLite and for memory, and every answer compared."""

import random
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from durable_core.storage import (
    FINISHED,
    Applied,
    Claimed,
    CountBy,
    Finish,
    Head,
    Keep,
    MemoryStorage,
    NewExecution,
    OnCancel,
    Phase,
    Query,
    Record,
    Release,
    Settle,
    Status,
    Storage,
    Token,
    Transition,
    Wake,
)

_TASKS = ("a", "b", "$c")
_QUEUES = ("default", "other")
_KEYS = ("k", "l")
_EXECUTORS = ("anna", "ben", "carl")
_EVERYTHING = 1_000
_SECOND = 1_000_000

Order = tuple[int, int]


class Twins:
    """Two storages that must not be told apart.

    Args:
        sqlite: One of them.
        memory: The other.
        seed: Of the calls.
    """

    def __init__(self, sqlite: Storage, memory: MemoryStorage, seed: int) -> None:
        self._sqlite = sqlite
        self._memory = memory
        self._random = random.Random(seed)
        self._now = _SECOND
        self._requests = 0
        self._ids = [f"x{number:03}" for number in range(20)]

    async def walk(self, steps: int) -> None:
        """Make random calls."""
        calls = [
            self.insert, self.insert, self.claim, self.claim, self.apply, self.apply, self.apply,
            self.wake, self.cancel, self.beat, self.reap, self.read, self.purge,
        ]  # fmt: skip
        for _ in range(steps):
            self._now += self._random.choice((0, 0, 1, 1_000, _SECOND))
            await self._random.choice(calls)()
            await self.compare()

    async def compare(self) -> None:
        """Compare everything that is stored."""
        for query in (Query(), Query(owner="anna"), Query(parent_id=self._any_id())):
            await self._both("find", query=query, limit=_EVERYTHING, payload=True)
        ids = self._random.sample(self._ids, 5)
        for id_ in ids:
            await self._both("checkpoints", execution_id=id_, limit=_EVERYTHING)
        await self._both("leases", limit=_EVERYTHING)

    async def _both(self, method: str, **arguments: Any) -> Any:
        mine = await getattr(self._sqlite, method)(**arguments)
        theirs = await getattr(self._memory, method)(**arguments)
        assert _plain(mine) == _plain(theirs), (method, arguments)
        return theirs

    async def insert(self) -> None:
        """Insert new and existing rows, alone and many."""
        number = self._random.choice((1, 1, 3, 9))
        items = [self._new(self._any_id()) for _ in range(number)]
        await self._both("insert", items=items, now=self._now)

    async def claim(self) -> None:
        """Claim by queue and task, or by id."""
        executor = self._random.choice(_EXECUTORS)
        tasks = self._random.sample(_TASKS, self._random.randrange(4))
        queues = self._random.sample(_QUEUES, self._random.randrange(3))
        arguments: dict[str, Any] = {
            "executor": executor, "tasks": tasks, "queues": queues, "now": self._now,
        }  # fmt: skip
        if self._random.random() < 0.2:
            arguments["ids"] = [self._any_id() for _ in range(4)]
            await self._both("claim", limit=self._random.choice((0, 2, 9)), **arguments)
            return
        before = await self._orders()
        limit = self._random.choice((0, 1, 2, 5, _EVERYTHING))
        if len(set(before.values())) < len(before):
            # Rows that stand at the same place may be taken in any order.
            limit = _EVERYTHING
        mine: Claimed = await self._sqlite.claim(limit=limit, **arguments)
        theirs: Claimed = await self._memory.claim(limit=limit, **arguments)
        assert (mine.exhausted, mine.next_due) == (theirs.exhausted, theirs.next_due)
        assert _in_order(mine, before) == _in_order(theirs, before), arguments
        assert _by_id(mine) == _by_id(theirs)

    async def _orders(self) -> dict[str, Order]:
        page = await self._memory.find(query=Query(), limit=_EVERYTHING)
        return {
            row.id: (-row.priority, row.due)
            for row in page.items
            if row.due is not None and row.owner is None
        }

    async def apply(self) -> None:
        """Send transitions with tokens that hold, and some that do not."""
        page = await self._memory.find(query=Query(), limit=_EVERYTHING)
        rows = [row for row in page.items if row.owner is not None or self._random.random() < 0.1]
        self._random.shuffle(rows)
        parents = {row.parent_id for row in rows}
        some = rows[: self._random.choice((1, 3, 12))]
        items = [self._transition(row) for row in some if row.id not in parents]
        answers: Sequence[Applied] = await self._both("apply", items=items, now=self._now)
        if answers and self._random.random() < 0.3:
            await self._both("apply", items=items, now=self._now + 1)

    def _transition(self, row: Head) -> Transition:
        gen = max(row.gen + (self._random.random() < 0.05), 1)
        token = Token(row.owner or self._random.choice(_EXECUTORS), gen)
        common: dict[str, Any] = {"id": row.id, "token": token, "parent_id": row.parent_id}
        if row.finished and self._random.random() < 0.9:
            return Settle(**common, due=self._random.choice((None, None, 0, self._now + _SECOND)))
        if self._random.random() < 0.3:
            common["checkpoints"] = {self._random.choice("pqr"): self._random.randbytes(3)}
        possible = (
            ("state", b"s"), ("attempt", 3), ("join_at", 1), ("priority", 7),
            ("output", b"o"), ("error", b"e"), ("reset_crashes", True), ("state", None),
        )  # fmt: skip
        common |= {name: value for name, value in possible if self._chance(0.15)}
        if self._random.random() < 0.5:
            return Finish(**common, phase=self._random.choice(sorted(FINISHED)))
        common["cancel_seen"] = self._random.random() < 0.3
        common["children"] = [
            self._new(self._child_id(), parent=row)
            for _ in range(self._random.choice((0, 0, 1, 2, 10)))
        ]
        if self._random.random() < 0.3:
            return Keep(**common)
        phase = self._random.choice(
            (Phase.READY, Phase.SLEEPING, Phase.WAITING_FOR_CHILDREN, Phase.WAITING_FOR_FINALIZE)
        )
        return Release(**common, phase=phase, due=self._random.choice((None, self._due())))

    async def wake(self) -> None:
        """Wake by key and by id, sometimes again."""
        items = [self._wake() for _ in range(self._random.choice((1, 2)))]
        await self._both("wake", items=items, now=self._now)
        if self._random.random() < 0.3:
            await self._both("wake", items=items, now=self._now)

    def _wake(self) -> Wake:
        self._requests += 1
        item = Wake(
            task=self._random.choice(_TASKS),
            wake_key=self._random.choice(_KEYS),
            phase=self._random.choice((Phase.COMPLETED, Phase.FAILED)),
            payload=self._random.choice((None, b"p")),
            request=f"w{self._requests}",
            keep_until=self._random.choice(
                (None, self._now, self._now + 1_000, self._now + _SECOND)
            ),
        )
        return replace(item, wake_key=None, id=self._any_id()) if self._chance(0.3) else item

    async def cancel(self) -> None:
        """Cancel anything, sometimes again."""
        self._requests += 1
        ids = [self._any_id() for _ in range(self._random.choice((1, 3)))]
        for _ in range(self._random.choice((1, 2))):
            await self._both("cancel", ids=ids, request=f"c{self._requests}", now=self._now)

    async def beat(self) -> None:
        """Register, renew, sign off."""
        arguments: dict[str, Any] = {
            "executor": self._random.choice(_EXECUTORS),
            "ttl": self._random.choice((0, 1_000, _SECOND, _SECOND)),
            "register": self._chance(0.5),
            "info": self._random.randbytes(2),
            "now": self._now,
        }
        mine = await self._sqlite.heartbeat(**arguments)
        theirs = await self._memory.heartbeat(**arguments)
        assert replace(mine, clock=0) == replace(theirs, clock=0)

    async def reap(self) -> None:
        """Reap all: which rows come first is not promised."""
        if self._chance(0.3):
            await self._both("reap", now=self._now, limit=_EVERYTHING)

    async def read(self) -> None:
        """Read by id, by random queries and page by page, and count."""
        ids = [self._any_id() for _ in range(3)]
        await self._both("get", ids=ids, payload=self._chance(0.5))
        query = self._query()
        await self._both("find", query=query, limit=_EVERYTHING)
        await self._both("count", query=query, by=self._random.choice((None, *CountBy)))
        await self._both("count", query=query, cap=3)
        cursor: str | None = None
        while True:
            page = await self._both("find", query=query, limit=3, cursor=cursor)
            cursor = page.cursor
            if cursor is None:
                return

    def _query(self) -> Query:
        pick = self._random
        choices: dict[str, Any] = {
            "statuses": frozenset(pick.sample(sorted(Status), 3)),
            "tasks": frozenset(pick.sample(_TASKS, 2)),
            "queue": pick.choice(_QUEUES),
            "group": "g",
            "parent_id": self._any_id(),
            "root_id": self._any_id(),
            "owner": pick.choice(_EXECUTORS),
            "tags": frozenset(pick.sample(("one", "zwei"), pick.randrange(3))),
            "created_from": self._now - _SECOND,
            "created_before": self._now,
            "finished_from": self._now - _SECOND,
            "finished_before": self._now,
            "id_prefix": "x1",
        }
        return Query(**{name: choices[name] for name in pick.sample(sorted(choices), 2)})

    async def purge(self) -> None:
        """Delete what is over."""
        if self._chance(0.3):
            before = self._now - self._random.choice((0, 1_000, _SECOND))
            await self._both("purge", finished_before=before, now=self._now, limit=_EVERYTHING)

    def _new(self, id: str, *, parent: Head | None = None) -> NewExecution:  # noqa: A002
        sleeper = self._chance(0.2)
        return NewExecution(
            id=id,
            task=self._random.choice(_TASKS),
            queue=self._random.choice(_QUEUES),
            group=self._random.choice((None, "g")),
            key=self._random.choice((None, None, *_KEYS)) if parent is None else None,
            wake_key=self._random.choice(_KEYS) if sleeper else None,
            root_id=None if parent is None else parent.root_id,
            parent_id=None if parent is None else parent.id,
            child_index=self._random.randrange(-1, 5),
            on_cancel=self._random.choice(sorted(OnCancel)),
            tags=frozenset(self._random.sample(("one", "zwei", "∂"), self._random.randrange(3))),
            priority=self._random.randrange(-2, 3),
            phase=Phase.SLEEPING if sleeper else Phase.READY,
            due=self._due(),
            owner=self._random.choice((None, *_EXECUTORS)),
            options=self._random.randbytes(2),
            meta=b"",
            input=self._random.randbytes(4),
            state=self._random.choice((None, b"s")),
        )

    def _due(self) -> int | None:
        return self._random.choice(
            (None, 0, self._now, self._now + self._random.randrange(-_SECOND, 3 * _SECOND))
        )

    def _child_id(self) -> str:
        """Return an id that is new, mostly."""
        if self._chance(0.95):
            self._ids.append(f"x{len(self._ids):03}")
            return self._ids[-1]
        return self._any_id()

    def _any_id(self) -> str:
        return self._random.choice(self._ids)

    def _chance(self, part: float) -> bool:
        return self._random.random() < part


def _plain(answer: Any) -> Any:
    """Return an answer with sequences as lists, and without opaque cursors."""
    if hasattr(answer, "cursor"):
        return [_plain(answer.items), answer.cursor is None]
    if hasattr(answer, "__iter__") and not hasattr(answer, "keys"):
        return [_plain(one) for one in answer] if not isinstance(answer, str | bytes) else answer
    if hasattr(answer, "outcome"):
        names = [field.name for field in fields(answer)]
        return [type(answer), *(_plain(getattr(answer, name)) for name in names)]
    return answer


def _by_id(claimed: Claimed) -> dict[str, Record]:
    return {row.id: row for row in claimed.records}


def _in_order(claimed: Claimed, before: dict[str, Order]) -> list[Order]:
    return [before[row.id] for row in claimed.records]
