"""Is the sketch as lean as another one? A check against a program given from outside."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

from .cases import IN_FLIGHT, Scale, cases
from .orders import Order, RunFailedError, Who, carry_out

VARIABLE: Final = "DURABLE_BENCH_REFERENCE_SKETCH"
"""Environment variable with the program's path."""

LIMIT: Final = 0.8
"""The sketch reaches so much of the other one's rate, or it is no floor."""

_RATE = re.compile(r"\btps (\d+)")


def compare(scale: Scale, repeats: int, folder: Path) -> tuple[float, str]:
    """Run W1's shape by the sketch on SQLite and by the reference, in turns.

    The reference is called as ``python <path> sqlite <tasks> <in flight>`` and prints
    ``tps <tasks per second>``.

    Args:
        scale: How many tasks.
        repeats: How many pairs of runs.
        folder: Where files are made.

    Returns:
        The median of the pairs' ratios, and a sentence for people.

    Raises:
        RunFailedError: There is no reference, or it prints no rate.
    """
    path = os.environ.get(VARIABLE)
    if not path or not Path(path).is_file():
        raise RunFailedError(f"set {VARIABLE} to the path of the reference sketch, a program")
    case = next(case for case in cases(scale) if case.key == "W1")
    ratios: list[float] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            order = Order(who=Who.SKETCH, storage="sqlite", case=case.key, scale=scale, place=place)
            sample = carry_out(order)
        ours = 0.0 if sample is None else sample.rate
        ratios.append(ours / _reference_rate(path, case.count))
    ratio = median(ratios)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return ratio, f"sketch through reference: {ratio:.2f} ({spread}), to reach: {LIMIT}"


def _reference_rate(path: str, tasks: int) -> float:
    command = [sys.executable, path, "sqlite", str(tasks), str(IN_FLIGHT)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    found = _RATE.search(done.stdout)
    if found is None:
        raise RunFailedError(f"the reference printed no rate:\n{done.stdout}{done.stderr}")
    return float(found[1])
