"""The command line."""

import argparse
import asyncio
import logging
import os
import shlex
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from durable_core import DurableError

from . import casting, files, report, summary
from .errors import DemoError
from .evidence import Evidence
from .outdir import OutDir, prepare
from .run import Plan, run
from .show import Screen
from .storage import locate, open_storage, shown

DEFAULT_OUT = Path("build", "durable-demo")
DEFAULT_LIMIT = 100
MOST_FILES = 1000

_BROKEN, _USAGE, _INTERRUPTED = 1, 2, 130

_DESCRIPTION = """\
Study the text files of a folder with a durable pipeline, and survive a kill -9.

A parent task fans out over the files; five steps study each of them. Some steps are
flaky and are retried, one is slow and times out, and the report waits for an approval.
Half-way the worker process is killed with SIGKILL, and a new one finishes the work.
Everything is kept in one SQLite file, and nothing else is needed; or on a server of
yours.

The demo then checks what it promises against the storage and against a diary that the
steps keep, and ends with exit code 0 only if every promise was kept."""

_EPILOG = """\
examples:
  durable-demo                        study this project (or the current folder)
  durable-demo ~/notes --seed 7       study your notes; let other files make trouble
  durable-demo . --ask                be asked for the approval
  durable-demo --storage postgresql://anna@localhost/work
                                      keep everything in a PostgreSQL database

exit codes: 0 every promise was kept, 1 one was broken, 2 nothing was run, 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(given)
    try:
        with prepare(args.out.expanduser().absolute()) as out:
            return _run(args, given, out)
    except DemoError as error:
        _complain(error)
        return _USAGE
    except KeyboardInterrupt:
        print("\ndurable-demo: interrupted; run the same command to start anew", file=sys.stderr)
        return _INTERRUPTED


def _complain(error: DemoError) -> None:
    print(f"durable-demo: {error}", file=sys.stderr)
    if error.advice:
        print(f"  {error.advice}", file=sys.stderr)


def _run(args: argparse.Namespace, given: list[str], out: OutDir) -> int:
    found = files.find(args.folder.expanduser(), leave_out=out.folder)
    names = casting.choose(args.seed, found.names, args.limit)
    plan = Plan(
        id=f"study-{uuid.uuid4().hex[:12]}",
        folder=found.folder,
        names=names,
        out=out,
        location=locate(args.storage) if args.storage else str(out.database),
        cast=casting.draw(args.seed, names),
        kill=not args.no_kill,
        ask=args.ask,
        command=f"{_program()} {shlex.join(given)}".strip(),
    )
    open_storage(plan.location)  # What is missing is said before anything is shown.
    screen = Screen.of(sys.stdout)
    screen.line(f"durable-demo studies {_what(found, names)}", style="bold")
    screen.line(f"{_where(plan.location)}, seed {args.seed}", style="dim")
    screen.line()
    logging.basicConfig(filename=out.own_log, level=logging.INFO)
    try:
        evidence = asyncio.run(run(plan, screen))
    except (DemoError, DurableError) as error:
        screen.clear()
        _complain(error if isinstance(error, DemoError) else DemoError(str(error)))
        return _BROKEN
    _tell(evidence, plan, screen)
    return 0 if evidence.kept else _BROKEN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durable-demo",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=_project(),
        help="the folder to study (default: this project's own sources)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        metavar="DIR",
        help=f"where report, diary and storage go (default: {DEFAULT_OUT})",
    )
    parser.add_argument(
        "--storage",
        metavar="WHERE",
        help="keep everything in this SQLite file (a path or sqlite:///path; default: in DIR), or"
        " on this server (postgresql://…, mysql://…, redis://…, mongodb://…)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="which files make trouble, and which are studied if there are too many (default: 1)",
    )
    parser.add_argument(
        "--limit",
        type=_limit,
        default=DEFAULT_LIMIT,
        metavar="N",
        help=f"study at most so many files, up to {MOST_FILES} (default: {DEFAULT_LIMIT})",
    )
    parser.add_argument("--no-kill", action="store_true", help="let the first worker live")
    parser.add_argument("--ask", action="store_true", help="ask for the approval, not just wait")
    return parser


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_FILES:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 to {MOST_FILES}")
    return int(text)


def _project() -> Path:
    """Return the repository this program lies in, or the current folder once it is installed."""
    here = Path(__file__).resolve()
    for folder in here.parents:
        if (folder / "examples" / "durable-demo").is_dir() and (folder / "README.md").is_file():
            return folder
    return Path()


def _program() -> str:
    """Return what starts the demo here: in its repository it is on nobody's PATH."""
    return "./dev demo" if _project() == Path.cwd() else "durable-demo"


def _what(found: files.Found, names: Sequence[str]) -> str:
    text = f"{len(names)} text files of {_short(found.folder)}"
    if len(names) < len(found.names):
        text = f"{len(names)} of {len(found.names)} text files of {_short(found.folder)}"
        text += " (--limit)"
    return f"{text}; {found.unreadable} not readable" if found.unreadable else text


def _where(location: str) -> str:
    if "://" in location:
        return shown(location)
    return f"SQLite, no server: {_short(Path(location))}"


def _short(path: Path) -> str:
    """Return the shorter way to name a path: from here, or from the root."""
    return min(os.path.relpath(path), str(path), key=len)


def _tell(evidence: Evidence, plan: Plan, screen: Screen) -> None:
    screen.line()
    for check in evidence.checks:
        mark, style = ("good", "green") if check.kept else ("bad", "red")
        screen.line(check.claim, mark=mark, style=style)
        screen.line(f"    {check.seen}", style="dim")
    if evidence.again:
        screen.line()
        screen.line("Cut off by the kill, so they ran again (delivery is at least once):")
        for one in evidence.again:
            screen.line(f"    {one.cut.step:<12} {one.cut.subject}")
    screen.line()
    screen.line(
        summary.headline(evidence),
        mark="good" if evidence.kept else "bad",
        style="green" if evidence.kept else "red",
    )
    screen.line(f"Report: {_short(plan.out.folder / report.HTML)} (and {report.MARKDOWN})")
    screen.line(f"Run again: {plan.command}", style="dim")
