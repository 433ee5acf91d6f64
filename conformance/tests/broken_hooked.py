"""A memory storage whose author gives every hook, honest and broken on purpose."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

from broken_base import Broken, InMemory, pause

from durable_conformance import StorageConformance
from durable_core.storage import (
    Applied,
    Capabilities,
    Claimed,
    Keep,
    MemoryStorage,
    OutcomeUnknownError,
    Release,
    SchemaReport,
    SchemaTooNewError,
    Transition,
)
from durable_core.storage.memory.tables import Tables


class Hooked(Broken):
    """Honest: its server can be killed, its rows locked, its schema made newer."""

    @classmethod
    def author(cls) -> type[StorageConformance]:
        class TestHooked(InMemory):
            kind: ClassVar[type[MemoryStorage]] = cls

            async def restart(self) -> None:
                for space in self.spaces.values():
                    assert isinstance(space, Hooked)
                    space.facts["starts"] = space.facts.get("starts", 0) + 1
                    space.started()

            @asynccontextmanager
            async def lock(self, namespace: str, execution_id: str) -> AsyncGenerator[None]:
                space = self.spaces[namespace]
                assert isinstance(space, Hooked)
                space.facts["locked"] = execution_id
                yield
                del space.facts["locked"]

            async def newer_schema(self, namespace: str) -> None:
                space = self.spaces[namespace]
                assert isinstance(space, Hooked)
                space.facts["newer"] = True

        return TestHooked

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, durable=True, durability="as durable as a test")

    @property
    def facts(self) -> dict[str, Any]:
        """What was done to the namespace."""
        found: dict[str, Any] = vars(self._space).setdefault("facts", {})
        return found

    def started(self) -> None:
        """The server starts again and finds what was committed."""

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        self.check_schema()
        return await super().setup(migrate=migrate)

    def check_schema(self) -> None:
        """Refuse a newer schema."""
        if "newer" in self.facts:
            raise SchemaTooNewError("the schema is number 2, this release knows number 1")

    async def claim(self, **request: Any) -> Claimed:
        row = self.tables().rows.get(self.facts.get("locked", ""))
        if row is None:
            return await super().claim(**request)
        self.spoil(row.id, due=None)
        answer = await super().claim(**request)
        self.spoil(row.id, due=row.due)
        return replace(answer, exhausted=False)

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        starts = self.facts.get("starts")
        for item in items:
            await self.before(item)
            if self.facts.get("starts") != starts:
                raise OutcomeUnknownError("the server went away")
        return await super().apply(items=items, now=now)

    async def before(self, item: Transition) -> None:
        """What happens before the commit."""
        await pause()


class StartsEmpty(Hooked):
    promise, fault = "INSERT-8", "what was answered is gone after a kill"

    def started(self) -> None:
        self._space.tables = Tables()


class TornByKills(Hooked):
    promise, fault = "APPLY-4", "a kill in the middle leaves children counted that are not there"

    async def before(self, item: Transition) -> None:
        row = self.tables().rows[item.id]
        if not isinstance(item, Keep | Release):
            return
        self.spoil(item.id, pending=row.pending + len(item.children))
        starts = self.facts.get("starts")
        await pause()
        if self.facts.get("starts") == starts:
            self.spoil(item.id, pending=row.pending)


class TakesTheLocked(Hooked):
    promise, fault = "CLAIM-6", "a lock is not looked at"

    async def claim(self, **request: Any) -> Claimed:
        locked = self.facts.pop("locked", None)
        answer = await super().claim(**request)
        if locked is not None:
            self.facts["locked"] = locked
        return answer


class SetsUpTheNewer(Hooked):
    promise, fault = "SCHEMA-2", "a newer schema is used as if it were known"

    def check_schema(self) -> None:
        pass
