"""One life of a world: from its seed to rest, and whether it kept what it promised."""

from durable_core.storage import OnCancel, Phase, Record

from .client import Client, Said
from .executor import Executor
from .specs import TASKS, Killer, Plain
from .steps import SECOND, need
from .weakness import Weakness
from .world import Host, Rates, World

PATIENCE = 15_000
SOME_TASKS = frozenset(TASKS[::2])
ALL_TASKS = frozenset(TASKS)


class PopulatedWorld(World):
    """A world in which another executor takes the place of every one that dies."""

    _booted = 0

    def boot(self) -> None:
        """Start an executor; while there are faults, some know only half of the tasks."""
        self._booted += 1
        knows_all = not self.faults or self.random.random() < 0.7
        executor = Executor(self, f"e{self._booted}", ALL_TASKS if knows_all else SOME_TASKS)
        self.hosts.append(executor)
        self.spawn(executor, executor.main())

    def die(self, host: Host) -> None:
        """Let an executor die and another one start."""
        super().die(host)
        self.boot()


def live(
    seed: int,
    weakness: Weakness | None = None,
    *,
    clock_error: int = SECOND,
    rates: Rates | None = None,
) -> World:
    """Live through one seed.

    Args:
        seed: Makes all choices.
        weakness: What is done wrong; None for a sound world.
        clock_error: By so many microseconds at most the executors' clocks are wrong.
        rates: How often things go wrong.

    Raises:
        BrokenError: Something that must hold did not.
    """
    world = PopulatedWorld(seed, weakness, clock_error, rates)
    random = world.random
    said = Said()
    for _ in range(random.randrange(1, 4)):
        world.boot()
    roots = [(number, world.specs.draw()) for number in range(random.randrange(2, 9))]
    for name in ("c0", "c1"):
        client = Client(world, name, said)
        world.spawn(client, client.main([root for root in roots if random.random() < 0.7]))
    for _ in range(random.randrange(600, 3000)):
        world.step()
    _come_to_rest(world)
    world.check_ends()
    _check_what_was_said(world, said)
    for row in world.rows.values():
        _check_outcome(world, row)
    return world


def _come_to_rest(world: PopulatedWorld) -> None:
    world.faults = False
    world.boot()
    for number in range(PATIENCE):
        world.step()
        if number % 50 == 0 and not world.unrest() and not world.hosted(Client):
            break
    left = [(row.id, row.phase.value, row.owner, row.due, row.pending) for row in world.unrest()]
    need(not left, "NO REST:", len(left), left[:3])


def _check_what_was_said(world: World, said: Said) -> None:
    for name, ids in said.ids.items():
        need(len(ids) == 1, "IDEMPOTENCY:", name, "stands for", ids)
    for id_ in said.ended:
        need(world.rows[id_].phase is Phase.CANCELLED, "NOT ENDED by its cancel:", id_)
    by = {row.ended_by for row in world.rows.values()}
    for request in said.woken:
        need(request in by, "NOT WOKEN:", request)


def _check_outcome(world: World, row: Record) -> None:
    spec = world.specs.of(row.options)
    if isinstance(spec, Plain):
        may_complete = spec.fails <= spec.retries
        need(may_complete or row.phase is not Phase.COMPLETED, "COMPLETED wrongly:", row.id)
        need(not may_complete or row.phase is not Phase.FAILED, "FAILED wrongly:", row.id)
    poisoned = row.error == b"poison"
    killer = isinstance(spec, Killer)
    need(killer or not poisoned, "INNOCENT poisoned:", row.id)
    need(not killer or poisoned or row.phase is Phase.CANCELLED, "KILLER not stopped:", row.id)
    need(row.error != b"child conflict", "CHILD CONFLICT:", row.id)
    if row.phase is Phase.CANCELLED and row.on_cancel is OnCancel.DELIVER:
        need("second" in world.checkpoints.get(row.id, ()), "NOT CLEANED UP:", row.id)
