"""An executor with the least that the engine's rules ask for: beat, reap, claim, reconcile."""

from durable_core.storage import Beat, Claimed, Page, Query, Record, Token

from .decide import decide
from .hand import EVERYTHING, Hand
from .steps import SECOND, Idle, LostError, Steps, call, surely
from .weakness import Weakness
from .world import World

SLOTS = 6
TTL = 15 * SECOND
BEAT = 4 * SECOND
RECONCILE = 20 * SECOND


class Executor:
    """Claims and runs executions until it dies.

    Args:
        world: Where it lives.
        name: Its name; each incarnation adds a number.
        tasks: Tasks that it knows.
    """

    def __init__(self, world: World, name: str, tasks: frozenset[str]) -> None:
        self.world = world
        self.alive = True
        self.id = f"{name}.0"
        self._name = name
        self._tasks = tasks
        self._clock_error = world.random.randint(-world.clock_error, world.clock_error)
        self._running: dict[tuple[str, Token], Hand] = {}
        self._started: set[tuple[str, Token]] = set()
        self._incarnation = 0

    @property
    def now(self) -> int:
        """The time as this executor believes it to be."""
        return self.world.now + self._clock_error

    def main(self) -> Steps[None]:
        """Beat, reap, claim and reconcile, for ever."""
        world = self.world
        yield from self._register()
        beat = reconciled = world.now
        while True:
            if world.now - beat > BEAT:
                beat = world.now
                if not (yield from self._beat()):
                    continue
                yield from surely("reap", now=self.now, limit=5)
            known = yield from self._claim(min(3, SLOTS - len(self._running)))
            if not known or world.now - reconciled > RECONCILE:
                reconciled = world.now
                yield from self._reconcile()
            yield Idle()

    def _register(self) -> Steps[None]:
        """Begin under a new identity: what the old one held is no longer ours."""
        self._incarnation += 1
        self.id = f"{self._name}.{self._incarnation}"
        self._running = {}
        yield from surely("heartbeat", executor=self.id, ttl=TTL, now=self.now, register=True)

    def _beat(self) -> Steps[bool]:
        """Renew the lease; False if this identity was declared dead."""
        answer: Beat = yield from surely("heartbeat", executor=self.id, ttl=TTL, now=self.now)
        if not answer.alive:
            yield from self._register()
            return False
        for order in answer.orders:
            hand = self._running.get((order.id, order.token))
            if hand is not None:
                hand.cancel()
        return True

    def _claim(self, limit: int) -> Steps[bool]:
        """Claim and start; False if what was claimed is not known."""
        if limit <= 0:
            return True
        try:
            answer: Claimed = yield from call(
                "claim",
                executor=self.id,
                tasks=self._tasks,
                queues=["default"],
                limit=limit,
                now=self.now,
            )
        except LostError:
            return False
        for record in answer.records:
            self.start(record)
        return True

    def _reconcile(self) -> Steps[None]:
        """Start what is held and was unknown at every moment between asking and answer."""
        if self.world.weakness is Weakness.NO_RECONCILE:
            return
        self._started = set(self._running)
        answer: Page[Record] = yield from surely(
            "find", query=Query(owner=self.id), limit=EVERYTHING, payload=True
        )
        for record in answer.items:
            if (record.id, record.token) not in self._started:
                self.start(record)

    def start(self, record: Record) -> None:
        """Run an execution, unless it is an earlier identity's, or runs already."""
        if record.owner != self.id or (record.id, record.token) in self._running:
            return
        hand = Hand(self.world, self, record)
        self._running[record.id, record.token] = hand
        self._started.add((record.id, record.token))
        self.world.spawn(self, self._run(hand))

    def _run(self, hand: Hand) -> Steps[None]:
        try:
            yield from decide(hand)
        finally:
            place = (hand.record.id, hand.token)
            if self._running.get(place) is hand:
                del self._running[place]
