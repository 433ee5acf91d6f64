"""CAPABILITY: what is declared works, and what is not declared does not."""

import asyncio
from contextlib import suppress
from dataclasses import asdict

import pytest

from durable_core.storage import (
    Bind,
    CancelOutcome,
    InsertOutcome,
    InvalidArgumentError,
    Leases,
    Listen,
    Pulse,
    Query,
    Reconnected,
    Wake,
    WakeOutcome,
)

from ..author import Author
from ..checking import promises
from ..ear import listening
from ..moves import children, keep, new
from ..promises import Hook
from ..settings import current
from ..stage import ANNA, HOUR, NOW, Stage

_SILENCE = 1.0
"""Seconds after which a listener that has said nothing counts as mute."""
_BYTES = 64 * 1024 * 1024


class CapabilityChecks(Author):
    """CAPABILITY-1 to CAPABILITY-3."""

    @promises("CAPABILITY-1")
    async def test_capability_1_what_is_declared_works(self, stage: Stage) -> None:
        """Each optional ability that is declared is there and answers."""
        storage = stage.storage
        declared = storage.capabilities
        await stage.register(ANNA)
        if declared.push:
            async with listening(storage, "default"):
                pass
        if declared.pulse:
            assert isinstance(storage, Pulse), "`pulse` is declared, but there is no such method"
            connection = storage.pulse()
            beat = await asyncio.to_thread(connection.beat, executor=ANNA, ttl=HOUR, now=NOW)
            await asyncio.to_thread(connection.close)
            assert beat.alive
        if declared.leases:
            assert isinstance(storage, Leases), "`leases` is declared, but there is no such method"
            assert [one.executor for one in (await storage.leases(limit=9)).items] == [ANNA]
        if declared.bind:
            assert isinstance(storage, Bind), "`bind` is declared, but there is no such method"
        assert declared.bind or not declared.bind_checkpoint, "`bind_checkpoint` without `bind`"
        assert not declared.gates, "`gates` has no meaning in this protocol yet"
        assert declared.durability or not declared.durable, "durable by which settings?"
        assert min(declared.resolution_us, declared.max_batch_rows) >= 1
        assert min(declared.max_payload, declared.max_batch_bytes) >= 1

    @promises("CAPABILITY-2")
    async def test_capability_2_what_is_not_declared_does_not_work(self, stage: Stage) -> None:
        """Each ability that can be tried and is not declared is tried."""
        declared = stage.storage.capabilities
        if not declared.gates:
            with pytest.raises(InvalidArgumentError):
                await stage.storage.claim(
                    executor=ANNA, tasks=["work"], queues=["default"], limit=1, now=NOW,
                    gates=object(),
                )  # fmt: skip
        if not declared.push:
            assert not await self._listens(stage), "listen() works, but `push` is not declared"
        if not declared.pulse:
            assert not await self._pulses(stage), "pulse() works, but it is not declared"
        if not declared.leases:
            assert not await self._lists(stage), "leases() works, but it is not declared"
        if not declared.bind and self.gives(Hook.TRANSACTION):
            assert not await self._binds(stage), "bind() works, but it is not declared"
        if declared.bind and not declared.bind_checkpoint and self.gives(Hook.TRANSACTION):
            works = await self._binds_checkpoints(stage)
            assert not works, "bind().checkpoint() works, but it is not declared"

    async def _listens(self, stage: Stage) -> bool:
        if isinstance(stage.storage, Listen):
            with suppress(Exception):
                async with asyncio.timeout(_SILENCE):
                    async for hint in stage.storage.listen(queues=["default"]):
                        return hint == Reconnected()
        return False

    async def _pulses(self, stage: Stage) -> bool:
        storage = stage.storage
        if isinstance(storage, Pulse):
            await stage.register(ANNA)
            with suppress(Exception):
                connection = storage.pulse()
                beat = await asyncio.to_thread(connection.beat, executor=ANNA, ttl=HOUR, now=NOW)
                await asyncio.to_thread(connection.close)
                return beat.alive
        return False

    async def _lists(self, stage: Stage) -> bool:
        if isinstance(stage.storage, Leases):
            await stage.register(ANNA)
            with suppress(Exception):
                return len((await stage.storage.leases(limit=9)).items) == 1
        return False

    async def _binds(self, stage: Stage) -> bool:
        if isinstance(stage.storage, Bind):
            with suppress(Exception):
                async with self.transaction(stage.storage) as caller:
                    mine = stage.storage.bind(caller.tx)
                    await mine.insert(items=[new("bound")], now=NOW)
                    await caller.commit()
                return await stage.storage.get(ids=["bound"]) != [None]
        return False

    async def _binds_checkpoints(self, stage: Stage) -> bool:
        row = await stage.hold("held")
        if isinstance(stage.storage, Bind):
            with suppress(Exception):
                async with self.transaction(stage.storage) as caller:
                    await stage.storage.bind(caller.tx).checkpoint(
                        execution_id=row.id, token=row.token, name="c", value=b"1", now=NOW
                    )
                    await caller.commit()
        return bool(await stage.checkpoints(row.id))

    @promises("CAPABILITY-3")
    async def test_capability_3_the_same_from_every_handle(self, stage: Stage) -> None:
        """Before and after work, from several handles on two namespaces."""
        declared = asdict(stage.storage.capabilities)
        handles = [*await stage.handles(3), await stage.handle(f"{stage.namespace[:24]}_b")]
        await stage.hold("a")
        assert [asdict(storage.capabilities) for storage in handles] == [declared] * len(handles)

    @promises("CAPABILITY-3")
    async def test_capability_3_the_largest_calls(self, stage: Stage) -> None:
        """As many rows in one call as declared, or as the run allows, of every kind."""
        storage = stage.storage
        size = min(storage.capabilities.max_batch_rows, current().rows)
        answers = await storage.insert(items=[new(f"{n}") for n in range(size)], now=NOW)
        assert [answer.outcome for answer in answers] == [InsertOutcome.CREATED] * size
        claimed = await stage.claim(limit=size)
        assert len(claimed.records) == size
        await stage.applied(*[keep(row, attempt=1) for row in claimed.records])
        first = claimed.records[0]
        await stage.applied(keep(first, children=children(first, size - 1)))
        assert (await stage.row(first.id)).pending == size - 1
        cancelled = await storage.cancel(
            ids=[row.id for row in claimed.records], request="r", now=NOW
        )
        assert [answer.outcome for answer in cancelled] == [CancelOutcome.MARKED] * size
        wakes = [Wake(task="work", wake_key=f"{n}", request=f"{n}") for n in range(size)]
        woken = await storage.wake(items=wakes, now=NOW)
        assert [answer.outcome for answer in woken] == [WakeOutcome.NOBODY] * size

    @promises("CAPABILITY-3")
    async def test_capability_3_as_many_bytes(self, stage: Stage) -> None:
        """As many payload bytes in one call as declared (up to 64 MiB)."""
        capabilities = stage.storage.capabilities
        total = min(capabilities.max_batch_bytes, _BYTES)
        each = max(1, min(capabilities.max_payload, total, 4 * 1024 * 1024))
        number = min(total // each, capabilities.max_batch_rows)
        payload = bytes(range(256)) * (each // 256)
        items = [new(f"{n}", input=payload) for n in range(number)]
        answers = await stage.storage.insert(items=items, now=NOW)
        assert [answer.outcome for answer in answers] == [InsertOutcome.CREATED] * number
        assert (await stage.row(f"{number - 1}")).input == payload
        assert (await stage.storage.count(query=Query()))["*"] == number
