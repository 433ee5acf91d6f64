"""What executions are told to do, drawn at random: trees of every kind of task."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import ClassVar, TypeAlias

from durable_core.storage import NewExecution, OnCancel, Phase

from .steps import SECOND

START = 1_000 * SECOND


@dataclass(frozen=True, slots=True)
class Plain:
    """Fails a few times; succeeds if it may be tried often enough."""

    task: ClassVar[str] = "plain"
    fails: int
    retries: int


@dataclass(frozen=True, slots=True)
class Killer:
    """Takes its executor down, every time."""

    task: ClassVar[str] = "killer"


@dataclass(frozen=True, slots=True)
class Loop:
    """One row that iterates."""

    task: ClassVar[str] = "loop"
    iterations: int


@dataclass(frozen=True, slots=True)
class Sleeper:
    """Waits for a wake-up, or for its time-out."""

    task: ClassVar[str] = "$sleep"
    key: str
    timeout: int


@dataclass(frozen=True, slots=True)
class Parent:
    """Children in parallel, then perhaps a finalizer: a task of its own, or a function."""

    task: ClassVar[str] = "parent"
    children: tuple["Spec", ...]
    finalizer: "Spec | None"
    finalize_raises: bool
    deadline: int | None


@dataclass(frozen=True, slots=True)
class Chain:
    """One child after the other."""

    task: ClassVar[str] = "chain"
    steps: tuple["Spec", ...]


@dataclass(frozen=True, slots=True)
class RecordStep:
    """A step whose result is recorded."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A recorded timer."""

    length: int


@dataclass(frozen=True, slots=True)
class Await:
    """Children, of whom all or the first are waited for."""

    children: tuple["Spec", ...]
    first_of: bool


@dataclass(frozen=True, slots=True)
class Durable:
    """A function that runs again from its beginning and finds what it has recorded."""

    task: ClassVar[str] = "durable"
    script: tuple["Operation", ...]
    fails: bool
    on_cancel: OnCancel


Operation: TypeAlias = RecordStep | Pause | Await

Spec: TypeAlias = Plain | Killer | Loop | Sleeper | Parent | Chain | Durable

TASKS = tuple(kind.task for kind in (Plain, Loop, Parent, Chain, Durable, Killer))


class Specs:
    """Draws specs and remembers them, so that a row's options can name one.

    Args:
        random: Makes all choices.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._all: list[Spec] = []
        self._numbers: dict[int, int] = {}

    def item(
        self,
        spec: Spec,
        id_: str,
        *,
        parent: tuple[str, str] | None = None,
        index: int = 0,
        key: str | None = None,
        owner: str | None = None,
    ) -> NewExecution:
        """Return what to insert for a spec.

        Args:
            spec: What it is to do.
            id_: Its id.
            parent: Ids of its parent and of the root.
            index: Its place among its siblings.
            key: Its idempotency key.
            owner: Who wants to hold it at once.
        """
        wake_key, phase, due = None, Phase.READY, 0
        if isinstance(spec, Sleeper):
            wake_key, phase, due = spec.key, Phase.SLEEPING, spec.timeout
        return NewExecution(
            id=id_,
            task=spec.task,
            key=key,
            wake_key=wake_key,
            parent_id=None if parent is None else parent[0],
            root_id=None if parent is None else parent[1],
            child_index=index,
            on_cancel=spec.on_cancel if isinstance(spec, Durable) else OnCancel.END,
            phase=phase,
            due=due,
            owner=owner,
            options=str(self._numbers[id(spec)]).encode(),
        )

    def of(self, options: bytes) -> Spec:
        """Return the spec that a row's options name."""
        return self._all[int(options)]

    def wake_keys(self) -> list[str]:
        """Return the keys of all sleepers."""
        return [spec.key for spec in self._all if isinstance(spec, Sleeper)]

    def draw(self, depth: int = 0) -> Spec:
        """Draw a spec; the deeper, the plainer.

        Args:
            depth: How many ancestors it has.
        """
        spec = self._draw(depth)
        self._numbers[id(spec)] = len(self._all)
        self._all.append(spec)
        return spec

    def _draw(self, depth: int) -> Spec:
        random = self._random
        if depth >= 2:
            kind = random.choice(("plain", "plain", "sleeper"))
        else:
            kind = random.choice(
                ("plain",) * 4 + ("loop", "sleeper", "parent", "parent", "chain", "durable")
            )
        if depth == 0 and random.random() < 0.03:
            return Killer()
        match kind:
            case "loop":
                return Loop(random.randrange(1, 5))
            case "sleeper":
                return Sleeper(
                    f"k{random.randrange(10**9)}", START + random.randrange(5, 150) * SECOND
                )
            case "parent":
                return self._parent(depth)
            case "chain":
                return Chain(self._several(depth, random.randrange(1, 4)))
            case "durable":
                return self._durable(depth)
            case _:
                return Plain(random.choice((0, 0, 1, 2)), random.choice((0, 2, 3)))

    def _several(self, depth: int, number: int) -> tuple[Spec, ...]:
        return tuple(self.draw(depth + 1) for _ in range(number))

    def _parent(self, depth: int) -> Parent:
        random = self._random
        children = self._several(depth, random.randrange(6))
        finalizer: Spec | None = None
        if random.random() < 0.4:
            finalizer = self.draw(random.choice((depth + 1, 2)))
            if isinstance(finalizer, Sleeper):
                finalizer = None
        deadline = random.randrange(10, 80) * SECOND if random.random() < 0.2 else None
        return Parent(children, finalizer, random.random() < 0.2, deadline)

    def _durable(self, depth: int) -> Durable:
        script = tuple(self._operations(depth, self._random.randrange(1, 5)))
        deliver = self._random.random() < 0.5
        return Durable(
            script, self._random.random() < 0.2, OnCancel.DELIVER if deliver else OnCancel.END
        )

    def _operations(self, depth: int, number: int) -> Iterator[Operation]:
        random = self._random
        for _ in range(number):
            match random.randrange(5):
                case 0 | 1:
                    yield RecordStep()
                case 2:
                    yield Pause(8 * SECOND)
                case 3:
                    yield Await(self._several(depth, random.randrange(1, 3)), first_of=False)
                case _:
                    yield Await(self._several(1, 2), first_of=True)
