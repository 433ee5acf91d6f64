"""Clients: they insert, wake and cancel, and remember what they were told."""

from collections import defaultdict
from collections.abc import Sequence

from durable_core.storage import Cancelled, CancelOutcome, Inserted, Wake, WakeOutcome, Woken

from .executor import Executor
from .specs import Sleeper, Spec
from .steps import SECOND, Idle, Steps, surely
from .world import World


class Said:
    """What clients were told, to be compared with how it turned out.

    Attributes:
        ids: The execution that an id or an idempotency key stands for, by answer.
        ended: Executions that a cancel says it has ended.
        woken: Requests that a wake-up says have ended a sleeper.
    """

    def __init__(self) -> None:
        self.ids: defaultdict[str, set[str]] = defaultdict(set)
        self.ended: list[str] = []
        self.woken: list[str] = []


class Client:
    """Inserts roots, every other one by a key that another client uses too.

    Args:
        world: Where it lives.
        name: Its name.
        said: Where it notes what it was told.
    """

    def __init__(self, world: World, name: str, said: Said) -> None:
        self.world = world
        self.alive = True
        self._name = name
        self._said = said

    def main(self, roots: Sequence[tuple[int, Spec]]) -> Steps[None]:
        """Insert these roots by number, and disturb whatever is going on."""
        random = self.world.random
        for number, root in roots:
            yield from self._insert(number, root)
            if random.random() < 0.3:
                yield from self._wake(f"{self._name}-w{number}")
            if random.random() < 0.15:
                yield from self._cancel(f"{self._name}-c{number}")
            yield Idle()

    def _insert(self, number: int, root: Spec) -> Steps[None]:
        world = self.world
        by_key = number % 2 == 1
        executors = [host for host in world.hosts if isinstance(host, Executor)]
        executor = world.random.choice(executors) if world.random.random() < 0.3 else None
        item = world.specs.item(
            root,
            f"{self._name}-r{number}" if by_key else f"r{number}",
            key=f"k{number}" if by_key else None,
            owner=None if executor is None else executor.id,
        )
        answers: list[Inserted] = yield from surely("insert", items=[item], now=world.now)
        record = answers[0].record
        self._said.ids[item.key or item.id].add(record.id)
        if executor is not None and executor.alive:
            executor.start(record)

    def _wake(self, request: str) -> Steps[None]:
        world = self.world
        keys = world.specs.wake_keys()
        if not keys:
            return
        item = Wake(
            task=Sleeper.task,
            wake_key=world.random.choice(keys),
            payload=b"message",
            request=request,
            keep_until=world.now + 1_000_000 * SECOND,
        )
        answers: list[Woken] = yield from surely("wake", items=[item], now=world.now)
        if answers[0].outcome is WakeOutcome.WOKEN:
            self._said.woken.append(request)

    def _cancel(self, request: str) -> Steps[None]:
        world = self.world
        rows = list(world.rows)
        ids = world.random.sample(rows, min(2, len(rows)))
        answers: list[Cancelled] = yield from surely(
            "cancel", ids=ids, request=request, now=world.now
        )
        for id_, answer in zip(ids, answers, strict=True):
            if answer.outcome is CancelOutcome.ENDED:
                self._said.ended.append(id_)
