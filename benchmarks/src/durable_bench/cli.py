"""The command line: `python -m durable_bench --storage memory,sqlite`."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .bench import Bench
from .cases import Case, Scale, cases
from .figures import Outcome
from .machine import machine, versions
from .orders import RunFailedError
from .reference import LIMIT, VARIABLE, compare
from .report import Report
from .rooms import ROOMS

SERVERLESS = ("memory", "sqlite")
"""What is measured unless somebody chooses: no server is needed."""

WORKLOADS = ("W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9")


class _Names:
    """A comma-separated choice."""

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def __call__(self, text: str) -> list[str]:
        wanted = [name.strip() for name in text.split(",") if name.strip()]
        strange = [name for name in wanted if name not in self._known]
        if strange or not wanted:
            raise argparse.ArgumentTypeError(
                f"there is no {', '.join(strange) or 'empty choice'}; there are "
                f"{', '.join(self._known)}"
            )
        return wanted


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durable_bench",
        description="Measure the engine on storages, and the least any engine must do beside it.",
    )
    parser.add_argument(
        "--storage",
        type=_Names(list(ROOMS)),
        default=list(SERVERLESS),
        metavar="NAME,…",
        help=f"which of {', '.join(ROOMS)}, comma-separated (default: {','.join(SERVERLESS)})",
    )
    parser.add_argument(
        "--workload",
        type=_Names(WORKLOADS),
        default=list(WORKLOADS),
        metavar="W1,…",
        help="which workloads, comma-separated (default: all)",
    )
    amounts = parser.add_mutually_exclusive_group()
    amounts.add_argument(
        "--full",
        dest="scale",
        action="store_const",
        const=Scale.FULL,
        default=Scale.NORMAL,
        help="millions of rows in W7, a minute of idleness in W5",
    )
    amounts.add_argument(
        "--quick",
        dest="scale",
        action="store_const",
        const=Scale.QUICK,
        help="a few seconds for everything; the figures mean little",
    )
    parser.add_argument(
        "--repeat",
        type=_at_least_one,
        default=None,
        metavar="N",
        help="runs of each side, of which medians are shown (default: 3 or 5, with --quick 1)",
    )
    parser.add_argument(
        "--json-dir",
        type=Path,
        default=Path("build", "bench"),
        metavar="FOLDER",
        help="where <storage>.json is written (default: build/bench)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="where databases are made, on a real disk (default: the folder of the results)",
    )
    parser.add_argument(
        "--assert",
        dest="strict",
        action="store_true",
        help="fail if a target is missed",
    )
    parser.add_argument(
        "--check-sketch",
        action="store_true",
        help=f"only compare the sketch with the program that {VARIABLE} names",
    )
    return parser  # fmt: skip


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _measure(bench: Bench, chosen: Sequence[Case]) -> tuple[dict[str, Outcome], bool]:
    """Run the cases; a failed one is reported and does not keep the others from running."""
    outcomes: dict[str, Outcome] = {}
    failed = False
    for case in chosen:
        try:
            outcomes[case.key] = bench.measure(case)
        except RunFailedError as error:
            _say(str(error))
            outcomes[case.key] = Outcome(case=case, not_run=str(error).splitlines()[0])
            failed = True
    return outcomes, failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for.

    Args:
        arguments: Without the program's name; the process's own by default.

    Returns:
        The exit code: 0, or 1 if a run failed, or if a target was missed under ``--assert``.
    """
    options = _parser().parse_args(arguments)
    repeats: int | None = options.repeat or (1 if options.scale is Scale.QUICK else None)
    folder: Path = options.folder or options.json_dir
    folder.mkdir(parents=True, exist_ok=True)
    options.json_dir.mkdir(parents=True, exist_ok=True)
    if options.check_sketch:
        return _check_sketch(options.scale, repeats or 3, folder)
    chosen = [case for case in cases(options.scale) if case.workload in options.workload]
    code = 0
    for storage in options.storage:
        bench = Bench(
            storage=storage, scale=options.scale, repeats=repeats, folder=folder, say=_say
        )
        described = machine(folder)
        outcomes, failed = _measure(bench, chosen)
        durability = next((o.engine.durability for o in outcomes.values() if o.engine), "")
        report = Report(
            storage=storage,
            scale=options.scale.value,
            durability=durability,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            versions=versions(),
            machine=described,
            outcomes=outcomes,
        )
        file: Path = options.json_dir / f"{storage}.json"
        file.write_text(json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        print(report.table(), f"written to {file}", "", sep="\n", flush=True)
        missed = options.strict and not all(verdict.met for verdict in report.verdicts)
        code = max(code, int(failed or missed))
    return code


def _check_sketch(scale: Scale, repeats: int, folder: Path) -> int:
    try:
        ratio, sentence = compare(scale, repeats, folder)
    except RunFailedError as error:
        _say(str(error))
        return 1
    print(sentence)
    return int(ratio < LIMIT)
