"""What is asked of executions from outside: to end, or to wake."""

from collections.abc import Sequence

from ..storage import Cancelled, CancelOutcome, Head, Status, Wake, WakeOutcome, Woken
from .claimer import Claimer
from .hooks import HookRelay
from .runner import Runner
from .waiters import Ended, Waiters
from .writer import Writer


class Outside:
    """Cancels and wakes, and tells those here whom it concerns.

    Args:
        writer: The way to the storage.
        hooks: Told of executions that were ended.
        runner: Interrupts what runs here.
        claimer: Looks for what became claimable.
        waiters: Told of what ended.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        hooks: HookRelay,
        runner: Runner,
        claimer: Claimer,
        waiters: Waiters,
    ) -> None:
        self._writer = writer
        self._hooks = hooks
        self._runner = runner
        self._claimer = claimer
        self._waiters = waiters

    async def cancel(self, ids: Sequence[str], request: str) -> Sequence[Cancelled]:
        """Cancel executions; what is held here is interrupted at once."""
        answers = await self._writer.cancel(ids, request)
        marked: list[Head] = []
        for id_, answer in zip(ids, answers, strict=True):
            if answer.outcome is CancelOutcome.ENDED:
                self._waiters.resolve(id_, Ended(Status.CANCELLED))
                if answer.head is not None:
                    self._hooks.finished(answer.head, answer.head.phase, None)
                self._claimer.wake()
            elif answer.outcome is CancelOutcome.MARKED and answer.head is not None:
                marked.append(answer.head)
        self._runner.interrupt(marked)
        if any(head.owner is None for head in marked):
            self._claimer.wake()
        return answers

    async def wake(self, item: Wake) -> Woken:
        """Wake a sleeper; those who wait for it here are told at once."""
        answer = await self._writer.wake(item)
        if answer.outcome is WakeOutcome.WOKEN:
            self._waiters.look_soon()
        if answer.woken:
            self._claimer.wake()
        return answer
