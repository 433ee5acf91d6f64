"""HINT: hints that follow commits."""

import pytest

from durable_core.storage import Finished, Hint, InvalidArgumentError, Ready, Reconnected

from ..author import Author, Cut
from ..checking import promises
from ..ear import listening
from ..moves import child, finish, keep, new
from ..promises import Hook, Level
from ..stage import BELA, HOUR, NOW, Stage
from .bind import bound

_ROUNDS = 8


class HintChecks(Author):
    """HINT-1 and HINT-2."""

    @promises("HINT-1")
    async def test_hint_1_ready_after_the_commit(self, stage: Stage) -> None:
        """Whoever hears of a row by another handle finds it."""
        reader = await stage.handle()
        queues = [f"q{n}" for n in range(_ROUNDS)]
        blind: list[str] = []

        async def look(hint: Hint) -> None:
            # One row in each queue, so a hint for the queue is a hint of that row.
            if isinstance(hint, Ready) and (await reader.get(ids=[hint.queue]))[0] is None:
                blind.append(hint.queue)

        async with listening(reader, *queues, "elsewhere", then=look) as ear:
            heard = 0
            for number, queue in enumerate(queues):
                await stage.insert(new(queue, queue=queue))
                heard += await ear.hears(Ready(queue=queue))
                assert heard or number < 2, "`push` is declared, but no hint comes"
            assert not blind, "a hint came before its commit was visible"
            assert all(isinstance(hint, Ready | Reconnected) for hint in ear.heard)
            assert Ready(queue="elsewhere") not in ear.heard, "nothing was inserted there"

    @promises("HINT-1")
    async def test_hint_1_finished_after_the_commit(self, stage: Stage) -> None:
        """Whoever hears that something finished finds the only row finished."""
        reader = await stage.handle()
        unfinished: list[Hint] = []

        async def look(hint: Hint) -> None:
            if isinstance(hint, Finished) and not (await stage.row("a", at=reader)).finished:
                unfinished.append(hint)

        async with listening(reader, "default", then=look) as ear:
            row = await stage.hold("a")
            await stage.applied(finish(row))
            assert await ear.hears(Finished()), "`push` is declared, but no hint of an end comes"
            assert not unfinished, "a hint came before its commit was visible"

    @promises("HINT-1")
    async def test_hint_1_not_for_a_refusal(self, stage: Stage) -> None:
        """Refused items and rolled-back ones announce nothing; the next good one does."""
        reader = await stage.handle()
        await stage.insert(new("elsewhere", owner=BELA))
        parent = await stage.hold("p")
        async with listening(reader, "refused", "good") as ear:
            with pytest.raises(InvalidArgumentError):
                await stage.storage.insert(
                    items=[new("a", queue="refused"), new("b", priority=9999)], now=NOW
                )
            kids = [child(parent, 0, queue="refused"), child(parent, 1, id="elsewhere")]
            await stage.apply(keep(parent, children=kids))
            if stage.declares("bind") and self.gives(Hook.TRANSACTION):
                async with self.transaction(stage.storage) as caller:
                    mine = bound(stage.storage, caller)
                    await mine.insert(items=[new("d", queue="refused")], now=NOW)
                    await caller.rollback()
            await stage.insert(new("c", queue="good"))
            assert await ear.hears(Ready(queue="good"))
            assert Ready(queue="refused") not in ear.heard

    @promises("HINT-2")
    async def test_hint_2_begins_with_reconnected(self, stage: Stage) -> None:
        """Hints may have been lost before a listener began, so it says so first."""
        await stage.insert(new("before"))
        for _ in range(2):
            async with listening(stage.storage, "default") as ear:
                assert ear.heard[0] == Reconnected()

    @promises("HINT-2", level=Level.CRASH_SAFE, hook=Hook.CUT)
    async def test_hint_2_after_a_cut(self, stage: Stage) -> None:
        """The listener's connection breaks, and it says so before it goes on."""
        writer = await stage.handle()
        async with listening(stage.storage, "default") as ear:
            before = len(ear.heard)
            async with self.cut(stage.storage, Cut.LISTENER):
                await writer.insert(items=[new("meanwhile", due=NOW + HOUR)], now=NOW)
            assert await ear.hears(Reconnected(), since=before)
            assert ear.heard[before] == Reconnected()
            await writer.insert(items=[new("afterwards")], now=NOW)
            assert await ear.hears(Ready(queue="default"), since=before)
