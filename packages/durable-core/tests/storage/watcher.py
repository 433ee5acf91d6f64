"""A memory storage whose every change is held against the state machine."""

from collections.abc import Callable, Collection, Iterable, Sequence

from durable_core.storage import (
    ApplyOutcome,
    CancelOutcome,
    Event,
    Finish,
    InsertOutcome,
    Keep,
    MemoryStorage,
    NewExecution,
    Record,
    Release,
    Rule,
    Settle,
    Transition,
    Wake,
    WakeOutcome,
)

from .instant import run
from .invariants import broken, crooked_indexes, tables_of
from .rules import Step, matching

_EVENTS = {
    Keep: Event.KEEP,
    Release: Event.RELEASE,
    Finish: Event.FINISH,
    Settle: Event.SETTLE,
}


class Watcher:
    """Carries calls out one item at a time and checks what each of them changed.

    Attributes:
        storage: The storage under watch.
        used: Which rules have allowed a change so far.
        log: The calls so far, for the one who has to understand a failure.
    """

    def __init__(self, storage: MemoryStorage) -> None:
        self.storage = storage
        self.used: set[Rule] = set()
        self.log: list[str] = []

    @property
    def rows(self) -> dict[str, Record]:
        """All rows as they stand."""
        return dict(tables_of(self.storage).rows)

    def insert(self, item: NewExecution, now: int) -> InsertOutcome:
        """Insert one root."""
        before = self._begin(f"insert {item} at {now}")
        (answer,) = run(self.storage.insert(items=[item], now=now))
        after = self.rows
        if answer.outcome is InsertOutcome.CREATED:
            assert answer.record == after[item.id]
            self._check(before, now, [item.id], lambda _: _new_step(item, before, after, now))
        else:
            assert answer.record == before[answer.record.id]
            self._check(before, now, [])
        return answer.outcome

    def claim(
        self,
        executor: str,
        now: int,
        *,
        tasks: Collection[str],
        queues: Collection[str],
        limit: int,
        ids: Sequence[str] | None = None,
    ) -> Sequence[Record]:
        """Claim."""
        before = self._begin(f"claim {executor} {tasks} {queues} {limit} {ids} at {now}")
        answer = run(
            self.storage.claim(
                executor=executor, tasks=tasks, queues=queues, limit=limit, now=now, ids=ids
            )
        )
        facts: dict[str, object] = {
            "executor": executor,
            "tasks": frozenset(tasks),
            "queues": frozenset(queues),
            "named": ids is not None,
        }
        after = self.rows
        self._check(
            before,
            now,
            [record.id for record in answer.records],
            lambda id_: Step(
                event=Event.CLAIM, before=before[id_], after=after[id_], now=now, facts=facts
            ),
        )
        assert len(answer.records) <= limit
        assert all(record == after[record.id] for record in answer.records)
        if answer.exhausted and ids is None:
            left = run(
                self.storage.claim(executor="probe", tasks=tasks, queues=queues, limit=1, now=now)
            )
            assert not left.records, f"exhausted, and {left.records[0].id} was left behind"
        return answer.records

    def apply(self, item: Transition, now: int) -> ApplyOutcome:
        """Write one transition."""
        before = self._begin(f"apply {item} at {now}")
        (answer,) = run(self.storage.apply(items=[item], now=now))
        after = self.rows
        if answer.outcome is not ApplyOutcome.APPLIED:
            self._check(before, now, [])
            return answer.outcome
        children = () if isinstance(item, Finish | Settle) else item.children
        new = {child.id: child for child in children if child.id not in before}
        facts: dict[str, object] = {
            "token": item.token,
            "by": str(item.token),
            "due": getattr(item, "due", None),
            "cancel_seen": getattr(item, "cancel_seen", False),
        }

        def step(id_: str) -> Step:
            if id_ in new:
                return _new_step(new[id_], before, after, now)
            return Step(
                event=_EVENTS[type(item)],
                before=before[id_],
                after=after[id_],
                now=now,
                facts=facts,
            )

        parent = before[item.id].parent_id if isinstance(item, Finish) else None
        self._check(before, now, [item.id, *new], step, [parent])
        return answer.outcome

    def wake(self, item: Wake, now: int) -> WakeOutcome:
        """Carry out one wake-up."""
        before = self._begin(f"wake {item} at {now}")
        (answer,) = run(self.storage.wake(items=[item], now=now))
        if answer.outcome is not WakeOutcome.WOKEN or self.rows == before:
            self._check(before, now, [])
            return answer.outcome
        assert answer.id is not None
        self._check(
            before,
            now,
            [answer.id],
            self._by_event(Event.WAKE, before, now, {"by": item.request}),
            [before[answer.id].parent_id],
        )
        return answer.outcome

    def cancel(self, id_: str, request: str, now: int) -> CancelOutcome:
        """Cancel one execution."""
        before = self._begin(f"cancel {id_} {request} at {now}")
        (answer,) = run(self.storage.cancel(ids=[id_], request=request, now=now))
        if answer.outcome in (CancelOutcome.MISSING, CancelOutcome.FINISHED) or (
            before[id_].finished
        ):
            self._check(before, now, [])
            return answer.outcome
        parent = before[id_].parent_id if answer.outcome is CancelOutcome.ENDED else None
        step = self._by_event(Event.CANCEL, before, now, {"by": request})
        self._check(before, now, [id_], step, [parent])
        return answer.outcome

    def heartbeat(self, executor: str, ttl: int, now: int, *, register: bool) -> bool:
        """Renew a lease."""
        before = self._begin(f"heartbeat {executor} {ttl} {register} at {now}")
        beat = run(self.storage.heartbeat(executor=executor, ttl=ttl, now=now, register=register))
        self._check(before, now, [])
        marked = {
            row.id
            for row in before.values()
            if row.owner == executor and row.cancel_requested and not row.finished
        }
        assert not beat.alive or {order.id for order in beat.orders} == marked
        return beat.alive

    def reap_one(self, now: int) -> int:
        """Reap at most one row."""
        before = self._begin(f"reap at {now}")
        reaped = run(self.storage.reap(now=now, limit=1))
        after = self.rows
        gone = [
            id_ for id_, row in before.items() if row.owner is not None and after[id_].owner is None
        ]
        assert len(gone) == reaped.rows
        facts: dict[str, object] = {
            "by": "reap",
            "alive": frozenset(tables_of(self.storage).leases),
        }
        parents = [before[id_].parent_id for id_ in gone if after[id_].finished_at == now]
        self._check(before, now, gone, self._by_event(Event.REAP, before, now, facts), parents)
        return reaped.rows

    def purge(self, now: int, limit: int) -> int:
        """Purge what had finished before now."""
        before = self._begin(f"purge {limit} at {now}")
        count = run(self.storage.purge(finished_before=now, now=now, limit=limit))
        gone = [id_ for id_ in before if id_ not in self.rows]
        assert len(gone) == count <= limit
        self._check(
            before,
            now,
            gone,
            lambda id_: Step(
                event=Event.PURGE,
                before=before[id_],
                after=None,
                now=now,
                facts={"parent": before.get(before[id_].parent_id or "")},
            ),
        )
        return count

    def _begin(self, what: str) -> dict[str, Record]:
        self.log.append(what)
        return self.rows

    def _by_event(
        self, event: Event, before: dict[str, Record], now: int, facts: dict[str, object]
    ) -> Callable[[str], Step]:
        after = self.rows
        return lambda id_: Step(
            event=event, before=before[id_], after=after[id_], now=now, facts=facts
        )

    def _check(
        self,
        before: dict[str, Record],
        now: int,
        ids: Iterable[str],
        step: Callable[[str], Step] | None = None,
        parents: Iterable[str | None] = (),
    ) -> None:
        """Require that these rows took their step, their parents counted, and nobody else moved."""
        after = self.rows
        steps = {} if step is None else {id_: step(id_) for id_ in ids}
        for parent in parents:
            if parent is not None and parent in before:
                steps[parent] = Step(
                    event=Event.CHILD_ENDED, before=before[parent], after=after[parent], now=now
                )
        for one in steps.values():
            rules = matching(one)
            assert len(rules) == 1, f"{len(rules)} rules allow {one}"
            self.used.update(rules)
        for id_ in before.keys() | after.keys():
            if id_ not in steps:
                assert before.get(id_) == after.get(id_), f"{id_} changed without reason"
        tables = tables_of(self.storage)
        wrong = [*broken(tables), *crooked_indexes(tables)]
        assert not wrong, wrong


def _new_step(
    item: NewExecution, before: dict[str, Record], after: dict[str, Record], now: int
) -> Step:
    return Step(
        event=Event.INSERT,
        before=before.get(item.id),
        after=after[item.id],
        now=now,
        facts={"due": item.due, "owner": item.owner},
    )
