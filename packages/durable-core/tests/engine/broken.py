"""Engines that are broken on purpose, each in one rule."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from durable_core.engine import channel, clock, heart, run, runner, writer
from durable_core.engine.claimer import Claimer
from durable_core.engine.ids import new_id
from durable_core.storage import Applied, Keep, Record, Release, Token, Transition


def _answer(answer: object) -> Callable[..., Any]:
    def always(*_: object, **__: object) -> object:
        return answer

    return always


def decide_again_on_resend(patch: pytest.MonkeyPatch) -> None:
    """Compute the pause before a retry anew for every delivery."""
    send = writer.Writer._send_applies
    seen: set[tuple[str, Token]] = set()

    async def sent(self: writer.Writer, items: Sequence[Transition]) -> Sequence[Applied]:
        decided: list[Transition] = []
        for item in items:
            again = (item.id, item.token) in seen
            seen.add((item.id, item.token))
            if again and isinstance(item, Release) and item.due:
                item = replace(item, due=self._time.now() + 60_000_000)  # noqa: PLW2901
            decided.append(item)
        return await send(self, decided)

    patch.setattr(writer.Writer, "_send_applies", sent)


def write_where_the_caller_is(patch: pytest.MonkeyPatch) -> None:
    """Let the cancellation of whoever waits for a write reach the write."""
    submit: Any = channel.Channel[Any, Any].submit

    def submitted(self: Any, item: Any, *more: Any, **options: Any) -> Any:
        future = submit(self, item, *more, **options)
        drain = self._task

        def passed_on(done: Any) -> None:
            if done.cancelled():
                drain.cancel()

        future.add_done_callback(passed_on)
        return future

    patch.setattr(channel.Channel, "submit", submitted)


def start_whatever_is_answered(patch: pytest.MonkeyPatch) -> None:
    """Run a claimed row although another incarnation claimed it."""
    start = runner.Runner.start

    def started(self: runner.Runner, record: Record) -> None:
        owner = self._callbacks.owner
        self._callbacks = replace(self._callbacks, owner=lambda: record.owner)
        start(self, record)
        self._callbacks = replace(self._callbacks, owner=owner)

    patch.setattr(runner.Runner, "start", started)


def never_reconcile(patch: pytest.MonkeyPatch) -> None:
    """Never compare what is held with what is known."""

    async def nothing(self: Claimer, _owner: str) -> None:
        self._unsure = False

    patch.setattr(Claimer, "_reconcile", nothing)


def adopt_what_was_let_go(patch: pytest.MonkeyPatch) -> None:
    """Forget what was let go while the storage was asked."""
    patch.setattr(Claimer, "let_go", _answer(None))


def decode_before_judging(patch: pytest.MonkeyPatch) -> None:
    """Read the arguments before asking whether the execution is poison."""
    decide = runner.Runner._decide

    def decided(self: runner.Runner, activation: run.Run) -> Any:
        task = self._tasks.find(activation.record.task)
        if task is not None:
            task.input_codec.decode(activation.record.input)
        return decide(self, activation)

    patch.setattr(runner.Runner, "_decide", decided)


def random_child_ids_on_retry(patch: pytest.MonkeyPatch) -> None:
    """Give children new ids for every delivery but the first."""
    send = writer.Writer._send_applies
    seen: set[str] = set()

    async def sent(self: writer.Writer, items: Sequence[Transition]) -> Sequence[Applied]:
        fresh: list[Transition] = []
        for item in items:
            if isinstance(item, Keep | Release) and item.children:
                key = item.children[0].id
                if key in seen:
                    now = self._time.now()
                    children = [replace(child, id=new_id(now)) for child in item.children]
                    item = replace(item, children=children)  # noqa: PLW2901
                seen.add(key)
            fresh.append(item)
        return await send(self, fresh)

    patch.setattr(writer.Writer, "_send_applies", sent)


def suspect_nobody(patch: pytest.MonkeyPatch) -> None:
    """Run suspects beside others."""
    patch.setattr(runner, "is_suspect", _answer(answer=False))


def trust_an_old_lease(patch: pytest.MonkeyPatch) -> None:
    """Begin work without a valid lease."""
    patch.setattr(heart.Heart, "valid", property(_answer(answer=True)))


def beat_for_a_stuck_loop(patch: pytest.MonkeyPatch) -> None:
    """Let the thread beat for ever, whether the loop moves or not."""
    patch.setattr(heart._PulseThread, "_silent", _answer(answer=False))


def trust_every_clock(patch: pytest.MonkeyPatch) -> None:
    """Declare others dead on whatever evidence."""
    patch.setattr(clock.StorageTime, "trustworthy", _answer(answer=True))


def hand_back_at_once(patch: pytest.MonkeyPatch) -> None:
    """Hand back what does not fit without a pause."""

    def back(_self: runner.Runner, activation: run.Run, reason: str) -> Transition:
        return activation.hand_back(reason)

    patch.setattr(runner.Runner, "_not_here", back)


def remember_crashes(patch: pytest.MonkeyPatch) -> None:
    """Count the crashes of a whole life."""
    send = writer.Writer._send_applies

    async def sent(self: writer.Writer, items: Sequence[Transition]) -> Sequence[Applied]:
        kept = [
            replace(item, reset_crashes=False) if isinstance(item, Keep | Release) else item
            for item in items
        ]
        return await send(self, kept)

    patch.setattr(writer.Writer, "_send_applies", sent)


def mix_families(patch: pytest.MonkeyPatch) -> None:
    """Put a child and its parent into one batch."""

    def cut(self: writer.Writer, items: Sequence[Transition]) -> int:
        return self._fitting((1, 0) for _ in items)

    patch.setattr(writer.Writer, "_cut_applies", cut)
