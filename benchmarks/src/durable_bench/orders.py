"""What a fresh process is told to do: each run has a process, and so a memory, of its own."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from .cases import Case, Scale, cases
from .rooms import Place
from .sample import Sample


class Who(StrEnum):
    """Whose figures a run gives."""

    ENGINE = "engine"
    SKETCH = "sketch"


class Act(StrEnum):
    """What a process does."""

    FILL = "fill"
    """Put the rows there that the run expects to find."""
    RUN = "run"
    """Run the workload and print a sample."""
    WORK = "work"
    """Serve another process's run until its standard input ends."""


class RunFailedError(Exception):
    """A process ended without a sample."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One process's task.

    Attributes:
        who: The engine or the sketch.
        act: What to do.
        storage: On which storage.
        case: The case's key.
        scale: How much.
        place: A folder of its own.
        unfilled: Rows that should be there already are not: the process puts them there itself.
        emptied: Leave out the rows that should be there already: what the case is compared with.
    """

    who: Who
    act: Act = Act.RUN
    storage: str
    case: str
    scale: Scale
    place: str
    unfilled: bool = False
    emptied: bool = False

    @property
    def where(self) -> Place:
        """The run's own place."""
        return Place(Path(self.place))

    def look_up(self) -> Case:
        """Return the case, emptied if so ordered."""
        case = next(case for case in cases(self.scale) if case.key == self.case)
        return replace(case, finished=0, scheduled=0) if self.emptied else case

    def command(self) -> list[str]:
        """Return the command line of the process."""
        return [sys.executable, "-m", f"durable_bench.{self.who}_run", json.dumps(asdict(self))]

    @classmethod
    def parse(cls, text: str) -> "Order":
        """Return what `command` wrote."""
        values = json.loads(text)
        return cls(
            who=Who(values["who"]),
            act=Act(values["act"]),
            storage=values["storage"],
            case=values["case"],
            scale=Scale(values["scale"]),
            place=values["place"],
            unfilled=values["unfilled"],
            emptied=values["emptied"],
        )


def carry_out(order: Order, *, timeout: float = 3_600) -> Sample | None:
    """Run an order in a fresh process and wait for it.

    Args:
        order: What to do.
        timeout: Seconds after which the process is ended.

    Returns:
        The sample of a run; None after filling.

    Raises:
        RunFailedError: The process failed; the message has the end of what it said.
    """
    try:
        done = subprocess.run(
            order.command(), check=False, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise RunFailedError(f"{_name(order)} did not end within {timeout:,.0f} s") from None
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-20:])
        raise RunFailedError(f"{_name(order)} failed with exit code {done.returncode}:\n{said}")
    if order.act is not Act.RUN:
        return None
    sample = Sample.from_json(done.stdout.splitlines()[-1])
    return replace(sample, complaints=len(done.stderr.splitlines()))


def _name(order: Order) -> str:
    return f"{order.case} of the {order.who} on {order.storage}"


@asynccontextmanager
async def worker(order: Order) -> AsyncGenerator[None]:
    """Run the other half of a workload in a process of its own; it is up when this yields.

    Args:
        order: The half that is run here.

    Raises:
        RunFailedError: The worker ended before it was told to.
    """
    command = replace(order, act=Act.WORK).command()
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if process.stdin is None or process.stdout is None:
        raise RunFailedError("the worker has no pipes")
    try:
        if await process.stdout.readline() != b"ready\n":
            raise RunFailedError("the worker ended before it was ready")
        yield
    finally:
        process.stdin.close()
        code = await process.wait()
    if code:
        raise RunFailedError(f"the worker failed with exit code {code}")


async def serve() -> None:
    """Say that this worker is ready, and return when it is told to end."""
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


def answer(sample: Sample) -> None:
    """Hand the sample back to whoever gave the order."""
    print(sample.to_json(), flush=True)
