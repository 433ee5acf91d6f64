"""What makes the demo's steps slow, flaky and late, and lets them keep a diary.

Real steps call servers that are slow and disks that stutter. These ones read small files, so the
trouble is put on stage: `@staged` notes each start and end of a step in the diary, makes it take a
visible moment and, where the cast says so, makes it fail or never answer. Without a stage (when a
task is called as a plain function) a step is just its function.
"""

import asyncio
import functools
import inspect
import itertools
import json
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, ParamSpec, TypeVar, cast

from durable_core import Context, current

from . import diary
from .casting import Cast, fraction
from .diary import Ending, Run

Trouble = Literal["none", "hiccups", "silence"]

VARIABLE: Final = "DURABLE_DEMO_STAGE"
_FOR_EVER: Final = 3600.0

ParamsT = ParamSpec("ParamsT")
OutputT = TypeVar("OutputT")


class HiccupError(OSError):
    """Reading failed for a moment, as network disks do."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The scenery of one worker.

    Attributes:
        diary: Where the steps write.
        worker: 1 for the first worker, 2 for the one that takes over.
        pace: Seconds that a step takes, on average.
        patience: Seconds after which a silent service is given up.
        cast: Which files make trouble.
    """

    diary: Path
    worker: int
    pace: float
    patience: float
    cast: Cast

    def dump(self) -> str:
        """Return the text that `load` reads, for the environment of a worker."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def load(cls, text: str) -> "Stage":
        """Read what `dump` wrote."""
        values = json.loads(text)
        values["cast"] = Cast(**values["cast"])
        values["diary"] = Path(values["diary"])
        return cls(**values)

    def takes(self, step: str, subject: str, trouble: Trouble) -> float:
        """Return how many seconds a step is meant to take."""
        if trouble == "silence" and subject == self.cast.silent:
            return self.patience
        return self.pace * (0.5 + fraction(self.cast.seed, step, subject))

    def play(self, run: Run, trouble: Trouble) -> None:
        """Fail if the cast says that this attempt fails.

        Raises:
            HiccupError: It does.
        """
        hiccups = self.cast.hiccups.get(run.subject, 0)
        if trouble == "hiccups" and run.attempt <= hiccups:
            raise HiccupError(f"hiccup {run.attempt} of {hiccups} while reading {run.subject}")


def staged(
    trouble: Trouble = "none",
) -> Callable[[Callable[ParamsT, OutputT]], Callable[ParamsT, OutputT]]:
    """Put a step on stage; it stays a plain function with the same signature.

    Args:
        trouble: What may befall it: `hiccups` (it fails, a retry helps) or `silence` (it waits
            for an answer that never comes).
    """

    def decorate(function: Callable[ParamsT, OutputT]) -> Callable[ParamsT, OutputT]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def perform(*args: ParamsT.args, **kwargs: ParamsT.kwargs) -> object:
                stage = _stage()
                if stage is None:
                    return await function(*args, **kwargs)
                with _noted(stage, [*args, *kwargs.values()], trouble) as run:
                    silent = trouble == "silence" and run.subject == stage.cast.silent
                    await asyncio.sleep(_FOR_EVER if silent else run.takes)
                    stage.play(run, trouble)
                    return await function(*args, **kwargs)

            return cast("Callable[ParamsT, OutputT]", perform)

        @functools.wraps(function)
        def perform_in_thread(*args: ParamsT.args, **kwargs: ParamsT.kwargs) -> OutputT:
            stage = _stage()
            if stage is None:
                return function(*args, **kwargs)
            with _noted(stage, [*args, *kwargs.values()], trouble) as run:
                time.sleep(run.takes)
                stage.play(run, trouble)
                return function(*args, **kwargs)

        return perform_in_thread

    return decorate


def _stage() -> Stage | None:
    text = os.environ.get(VARIABLE)
    return _load(text) if text else None


_load = functools.cache(Stage.load)
_numbers = itertools.count(1)


@contextmanager
def _noted(stage: Stage, given: list[object], trouble: Trouble) -> Generator[Run, None, None]:
    """Write a step's start and end into the diary; a killed process leaves the start alone."""
    context: Context = current()
    subject = str(getattr(given[0], "name", ""))
    run = Run(
        number=f"{stage.worker}-{next(_numbers)}",
        execution=context.execution_id,
        step=context.task,
        subject=subject,
        attempt=context.attempt,
        worker=stage.worker,
        started=time.monotonic_ns(),
        takes=stage.takes(context.task, subject, trouble),
    )
    diary.note_start(stage.diary, run)
    ending, reason = Ending.DONE, ""
    try:
        yield run
    except asyncio.CancelledError:
        ending = Ending.STOPPED
        raise
    except Exception as error:
        ending, reason = Ending.FAILED, str(error)
        raise
    finally:
        now = time.monotonic_ns()
        diary.note_end(stage.diary, number=run.number, at=now, ending=ending, error=reason)
