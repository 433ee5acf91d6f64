"""ERROR-1 to ERROR-3: what is said when the connection breaks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from durable_core.storage import (
    NewExecution,
    OutcomeUnknownError,
    Query,
    Storage,
    StorageError,
    TemporaryError,
    Wake,
)

from ..author import Author, Cut
from ..checking import promises
from ..moves import finish, new, sleeper
from ..stage import HOUR, NOW, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A call that writes, and how to see whether it did.

    Attributes:
        name: For messages.
        make: Makes the call.
        landed: Whether all of it is there.
    """

    name: str
    make: Callable[[Storage], Awaitable[object]]
    landed: Callable[[Stage], Awaitable[bool]]


async def _writes(stage: Stage, prefix: str) -> list[Write]:
    """Prepare one write of each kind."""
    row = await stage.hold(f"{prefix}-apply")
    await stage.insert(sleeper(f"{prefix}-wake", f"{prefix} bell"), new(f"{prefix}-cancel"))
    await stage.insert(new(f"{prefix}-claim", task=prefix))
    items: list[NewExecution] = [new(f"{prefix}-insert"), new(f"{prefix}-insert-2")]
    wake = Wake(task="work", wake_key=f"{prefix} bell", request=prefix)

    async def finished(name: str, stage: Stage) -> bool:
        return (await stage.row(f"{prefix}-{name}")).finished

    async def inserted(stage: Stage) -> bool:
        return None not in await stage.storage.get(ids=[item.id for item in items])

    async def claimed(stage: Stage) -> bool:
        return (await stage.row(f"{prefix}-claim")).owner == prefix

    async def alive(stage: Stage) -> bool:
        return (await stage.storage.heartbeat(executor=prefix, ttl=HOUR, now=NOW)).alive

    return [
        Write(
            name="insert",
            make=lambda at: at.insert(items=items, now=NOW),
            landed=inserted,
        ),
        Write(
            name="claim",
            make=lambda at: at.claim(
                executor=prefix, tasks=[prefix], queues=["default"], limit=1, now=NOW
            ),
            landed=claimed,
        ),
        Write(
            name="apply",
            make=lambda at: at.apply(items=[finish(row)], now=NOW),
            landed=lambda stage: finished("apply", stage),
        ),
        Write(
            name="wake",
            make=lambda at: at.wake(items=[wake], now=NOW),
            landed=lambda stage: finished("wake", stage),
        ),
        Write(
            name="cancel",
            make=lambda at: at.cancel(ids=[f"{prefix}-cancel"], request=prefix, now=NOW),
            landed=lambda stage: finished("cancel", stage),
        ),
        Write(
            name="heartbeat",
            make=lambda at: at.heartbeat(executor=prefix, ttl=HOUR, now=NOW, register=True),
            landed=alive,
        ),
    ]


_READS: tuple[Callable[[Storage], Awaitable[object]], ...] = (
    lambda at: at.get(ids=["read"]),
    lambda at: at.find(query=Query(), limit=9),
    lambda at: at.count(query=Query()),
    lambda at: at.checkpoints(execution_id="read", limit=9),
)


class FaultChecks(Author):
    """ERROR-1 to ERROR-3."""

    async def _under(
        self, stage: Stage, where: Cut, call: Callable[[Storage], Awaitable[object]]
    ) -> StorageError | None:
        """Make a call on a handle of its own whose connection breaks; return its error."""
        storage = await stage.handle()
        async with self.cut(storage, where):
            try:
                await call(storage)
            except StorageError as error:
                return error
        return None

    @promises("ERROR-1")
    async def test_error_1_temporary_means_nothing_written(self, stage: Stage) -> None:
        """Every write, cut before and after it is sent: what is said of it is true."""
        for where in (Cut.BEFORE_SENDING, Cut.AFTER_SENDING):
            for write in await _writes(stage, where.name.lower()):
                error = await self._under(stage, where, write.make)
                landed = await write.landed(stage)
                if error is None:
                    assert landed, f"{write.name} cut {where}: answered, but not written"
                elif isinstance(error, TemporaryError):
                    assert not landed, f"{write.name} cut {where}: temporary, but written"
                else:
                    assert isinstance(error, OutcomeUnknownError), f"{write.name}: {error!r}"

    @promises("ERROR-2")
    async def test_error_2_unknown_after_sending(self, stage: Stage) -> None:
        """A lost reply to any write: unknown, unless the storage finds out and answers."""
        for write in await _writes(stage, "w"):
            error = await self._under(stage, Cut.AFTER_SENDING, write.make)
            assert error is None or isinstance(error, OutcomeUnknownError), (
                f"{write.name} may have landed, but {error!r} was raised"
            )

    @promises("ERROR-2")
    async def test_error_2_reads_are_never_unknown(self, stage: Stage) -> None:
        """A read that breaks anywhere can simply be made again."""
        await stage.hold("read")
        for where in (Cut.BEFORE_SENDING, Cut.AFTER_SENDING):
            for read in _READS:
                error = await self._under(stage, where, read)
                assert error is None or isinstance(error, TemporaryError), f"{error!r} of a read"

    @promises("ERROR-3")
    async def test_error_3_the_cause(self, stage: Stage) -> None:
        """The driver's own error is kept, for whoever has to find out what happened."""
        seen = 0
        for where in (Cut.BEFORE_SENDING, Cut.AFTER_SENDING):
            for write in await _writes(stage, where.name.lower()):
                error = await self._under(stage, where, write.make)
                if error is not None:
                    seen += 1
                    cause = error.__cause__
                    assert cause is not None, f"{error!r} hides what the driver said"
                    assert not isinstance(cause, StorageError), f"{cause!r} is not the driver's"
        assert seen, "nothing failed: cut() broke nothing"

    @promises("ERROR-3")
    async def test_error_3_an_error_that_nobody_knows(self, stage: Stage) -> None:
        """During a write it may mean anything, so the outcome is unknown."""
        seen = 0
        for write in await _writes(stage, "w"):
            error = await self._under(stage, Cut.STRANGELY, write.make)
            if error is not None:
                seen += 1
                assert isinstance(error, OutcomeUnknownError), f"{write.name}: {error!r}"
                assert error.__cause__ is not None
        assert seen, "nothing failed: cut() broke nothing"
