"""Live through more seeds than the tests do.

python -m model 5000 [first]       sound worlds: none of them may break
python -m model weaknesses 300     how many seeds find each weakness, and the first that does
"""

import sys
from collections import Counter

from .life import live
from .steps import SECOND, BrokenError
from .weakness import Weakness


def sound(seeds: range) -> int:
    """Live through sound worlds; return how many broke."""
    phases: Counter[str] = Counter()
    deaths = broken = 0
    for seed in seeds:
        try:
            world = live(seed)
        except BrokenError as error:
            broken += 1
            sys.stdout.write(f"seed {seed}: {error}" + "\n")
            continue
        deaths += world.deaths
        phases.update(row.phase.value for row in world.rows.values())
    sys.stdout.write(f"{len(seeds)} seeds, {deaths} deaths, {broken} broken, {dict(phases)}" + "\n")
    return broken


def weak(seeds: range) -> None:
    """Show how each weakness is found."""
    for weakness in Weakness:
        found: Counter[str] = Counter()
        first = ""
        for seed in seeds:
            error_of_clocks = 60 if weakness is Weakness.DUE_AT_CALLERS_NOW else 1
            try:
                live(seed, weakness, clock_error=error_of_clocks * SECOND)
            except BrokenError as error:
                found[str(error).partition(":")[0]] += 1
                first = first or f"{seed}: {error}"
        sys.stdout.write(
            f"{weakness.name}: {found.total()} of {len(seeds)}, {dict(found)}, {first[:150]}" + "\n"
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["weaknesses", number]:
            weak(range(int(number)))
        case [number, *first]:
            start = int(first[0]) if first else 0
            sys.exit(bool(sound(range(start, start + int(number)))))
        case _:
            sys.exit(__doc__)
