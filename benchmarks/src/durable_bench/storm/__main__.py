"""`python -m durable_bench.storm postgres`: the kill run, by hand."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..rooms import ROOMS, room_of
from .plan import Plan
from .storm import StormError, in_folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durable_bench.storm",
        description="Kill workers and servers with SIGKILL at random moments; nothing may be lost.",
    )
    shared = [name for name in ROOMS if name != "memory"]
    parser.add_argument("storage", choices=shared, help="on which storage")
    defaults = Plan(target="")
    for name, meaning in (
        ("executions", "how many executions, children included, at least"),
        ("workers", "how many processes work at once"),
        ("kills", "how many workers are killed"),
        ("restarts", "how often the server is killed"),
        ("seed", "of all chance"),
    ):
        default = getattr(defaults, name)
        parser.add_argument(
            f"--{name}", type=int, default=None, metavar="N", help=f"{meaning} ({default})"
        )
    return parser


def _say(text: str) -> None:
    print(f"storm: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the kill run that the command line asks for.

    Args:
        arguments: Without the program's name; the process's own by default.

    Returns:
        The exit code: 0 if all is well, else 1.
    """
    options = vars(_parser().parse_args(arguments))
    target: str = options.pop("storage")
    given = {name: value for name, value in options.items() if value is not None}
    if not room_of(target).served:
        given.setdefault("restarts", 0)
    plan = Plan(target=target, **given)
    folder = Path(tempfile.mkdtemp(prefix="durable-storm-"))
    try:
        report = in_folder(plan, folder / "run", _say)
    except StormError as error:
        _say(str(error))
        return 1
    finally:
        shutil.rmtree(folder)
    print("\n".join(report.lines()), flush=True)
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main())
