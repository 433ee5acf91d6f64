"""SCHEMA: setting up, versions, namespaces and closing."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from durable_core.storage import (
    ClosedError,
    OnCancel,
    ProtocolMismatchError,
    Query,
    SchemaMissingError,
    SchemaTooNewError,
    Wake,
    WakeOutcome,
    check_protocol,
)

from ..author import Author
from ..checking import promises
from ..moves import children, finish, keep, new, sleeper
from ..promises import Hook, Level
from ..stage import ANNA, HOUR, NOW, Stage, fresh_namespace


class SchemaChecks(Author):
    """SCHEMA-1 to SCHEMA-4."""

    @promises("SCHEMA-1")
    async def test_schema_1_only_looking(self, stage: Stage) -> None:
        """``migrate=False`` on an empty namespace, before and after a set-up."""
        namespace = fresh_namespace("schema_1")
        storage = await stage.handle(namespace, setup=False)
        first = await storage.setup(migrate=False)
        again = await storage.setup(migrate=False)
        assert list(first.applied) == list(again.applied) == [], "looking applies nothing"
        assert list(again.missing) == list(first.missing), "looking mends nothing"
        assert again.version == first.version
        if first.missing:
            assert all(first.missing), "what is missing is named"
            with pytest.raises(SchemaMissingError):
                await storage.insert(items=[new("a")], now=NOW)
        done = await storage.setup()
        assert list(done.missing) == []
        assert bool(done.applied) or not first.missing, "what was missing was applied"
        looked = await storage.setup(migrate=False)
        assert (list(looked.missing), looked.version) == ([], done.version)
        await storage.insert(items=[new("a")], now=NOW)

    @promises("SCHEMA-1")
    async def test_schema_1_several_at_once(self, stage: Stage) -> None:
        """Four handles set up one empty namespace: each migration was applied once."""
        for _ in range(3):
            namespace = fresh_namespace("schema_1")
            handles = [await stage.handle(namespace, setup=False) for _ in range(4)]
            reports = await stage.race(*(storage.setup for storage in handles))
            applied = [name for report in reports for name in report.applied]
            assert len(set(applied)) == len(applied), "a migration was applied twice"
            assert {report.version for report in reports} == {reports[0].version}
            assert all(not report.missing for report in reports)
            for number, storage in enumerate(handles):
                await storage.insert(items=[new(f"{number}")], now=NOW)
            assert len(await stage.find(Query(), at=handles[0])) == 4

    @promises("SCHEMA-1")
    async def test_schema_1_again_with_data(self, stage: Stage) -> None:
        """A set-up of what is there changes nothing of it."""
        row = await stage.hold("a")
        await stage.applied(keep(row, checkpoints={"step": b"1"}))
        before = await stage.everything()
        report = await stage.storage.setup()
        assert list(report.applied) == []
        assert await stage.everything() == before
        await stage.handle()
        assert await stage.everything() == before

    @promises("SCHEMA-2")
    async def test_schema_2_a_protocol_that_is_served(self, stage: Stage) -> None:
        """The core serves what the storage speaks, and refuses it if it spoke another."""
        capabilities = stage.storage.capabilities
        check_protocol(capabilities, "this storage")
        for other in (0, capabilities.protocol + 10):
            strange = replace(capabilities, protocol=other)
            with pytest.raises(ProtocolMismatchError) as caught:
                check_protocol(strange, "this storage")
            numbers = re.findall(r"\d+", str(caught.value))
            assert str(other) in numbers, "the message has the storage's number"
            assert str(capabilities.protocol) in numbers, "the message has the core's number"

    @promises("SCHEMA-2", level=Level.CRASH_SAFE, hook=Hook.NEWER_SCHEMA)
    async def test_schema_2_a_newer_schema(self, stage: Stage) -> None:
        """Refused with both numbers, by looking and by migrating; nothing is changed."""
        await stage.hold("a")
        before = await stage.everything()
        await self.newer_schema(stage.namespace)
        for migrate in (False, True):
            storage = await stage.handle(stage.namespace, setup=False)
            with pytest.raises(SchemaTooNewError) as caught:
                await storage.setup(migrate=migrate)
            assert len(set(re.findall(r"\d+", str(caught.value)))) >= 2, "both numbers"
        assert await stage.everything() == before

    @promises("SCHEMA-3")
    async def test_schema_3_one_namespace(self, stage: Stage) -> None:
        """Handles that come and go see the same rows, messages and leases."""
        other = await stage.handle()
        await stage.insert(new("a"))
        assert (await stage.row("a", at=other)).id == "a"
        claimed = await other.claim(
            executor=ANNA, tasks=["work"], queues=["default"], limit=9, now=NOW
        )
        await stage.applied(finish(claimed.records[0]))
        await other.heartbeat(executor=ANNA, ttl=HOUR, now=NOW, register=True)
        assert (await stage.storage.heartbeat(executor=ANNA, ttl=HOUR, now=NOW)).alive
        item = Wake(task="work", wake_key="k", request="r", keep_until=NOW + HOUR)
        await other.wake(items=[item], now=NOW)
        await other.close()
        (born,) = await stage.insert(sleeper("s", "k"))
        assert born.finished
        assert (await stage.row("s", at=await stage.handle())) == born

    @promises("SCHEMA-3")
    async def test_schema_3_two_namespaces(self, stage: Stage) -> None:
        """The same ids, keys, wake keys and executors, twice: nothing crosses over."""
        # Names of which one begins like the other, as prefixes and patterns might take them.
        namespace = f"{stage.namespace[:24]}_b"
        other = await stage.handle(namespace)
        item = Wake(task="work", wake_key="bell", request="r", keep_until=NOW + HOUR)
        for storage in (stage.storage, other):
            await storage.heartbeat(executor=ANNA, ttl=HOUR, now=NOW, register=True)
            items = [new("a", key="k"), sleeper("s", "gong"), new("c", on_cancel=OnCancel.DELIVER)]
            answers = await storage.insert(items=items, now=NOW)
            assert {answer.outcome.value for answer in answers} == {"created"}
            (answer,) = await storage.wake(items=[item], now=NOW)
            assert answer.outcome is WakeOutcome.KEPT
        row = await stage.take("a")
        await stage.applied(keep(row, children=children(row, 2, due=None), checkpoints={"c": b"1"}))
        await stage.storage.cancel(ids=["s", "c"], request="r", now=NOW)
        await stage.storage.heartbeat(executor=ANNA, ttl=0, now=NOW)
        await stage.reap()
        there = await stage.find(Query(), at=other)
        assert [(head.id, head.owner, head.phase.value) for head in there] == [
            ("a", None, "ready"),
            ("c", None, "ready"),
            ("s", None, "sleeping"),
        ]
        assert (await other.heartbeat(executor=ANNA, ttl=HOUR, now=NOW)).alive
        assert list((await other.checkpoints(execution_id="a", limit=9)).items) == []
        assert (await other.count(query=Query()))["*"] == 3
        await stage.storage.purge(finished_before=NOW + HOUR, now=NOW + HOUR, limit=9)
        (born,) = await other.insert(items=[sleeper("t", "bell")], now=NOW)
        assert born.record.finished, "the other namespace has its own message"

    @promises("SCHEMA-4")
    async def test_schema_4_close(self, stage: Stage) -> None:
        """Closed twice, it refuses all work; other handles and the data stay."""
        storage = await stage.handle()
        await stage.hold("a")
        await storage.close()
        await storage.close()
        row = await stage.row("a")
        wake = Wake(task="work", id="a", request="r")
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: storage.insert(items=[new("b")], now=NOW),
            lambda: storage.claim(
                executor=ANNA, tasks=["work"], queues=["default"], limit=1, now=NOW
            ),
            lambda: storage.apply(items=[finish(row)], now=NOW),
            lambda: storage.wake(items=[wake], now=NOW),
            lambda: storage.cancel(ids=["a"], request="r", now=NOW),
            lambda: storage.heartbeat(executor=ANNA, ttl=HOUR, now=NOW),
            lambda: storage.reap(now=NOW, limit=1),
            lambda: storage.get(ids=["a"]),
            lambda: storage.find(query=Query(), limit=1),
            lambda: storage.count(query=Query()),
            lambda: storage.checkpoints(execution_id="a", limit=1),
            lambda: storage.purge(finished_before=NOW, now=NOW, limit=1),
        )
        for call in calls:
            with pytest.raises(ClosedError):
                await call()
        assert sorted(await stage.everything()) == ["a"]
        await stage.applied(finish(await stage.row("a")))
