"""Make the development environment in `.venv`, then run a task from it.

Needs nothing but a plain Python 3.11 with its venv module. It may be interrupted at any moment and
run again: an environment that was not finished is made anew, a finished one is left alone until
the requirements or the members change.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NoReturn

from workspace import ROOT, members

VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
STAMP = VENV / "durable-setup.json"
INCOMPLETE = VENV / "durable-setup.incomplete"

USAGE = """\
usage: ./dev <task> [arguments]

  demo [folder]        run the demo (by default over this repository's own text files)
  test [pytest args]   run all tests
  setup                make or refresh .venv, then stop
  nox [nox args]       run nox; `./dev nox -l` lists every task
  run <program> [...]  run a program of .venv
  <session> [args]     short for `./dev nox -s <session> -- [args]`
"""

Level = Literal["demo", "dev"]
REQUIREMENTS: dict[Level, tuple[str, ...]] = {
    "demo": ("build.txt", "demo.txt"),
    "dev": ("dev.txt",),
}
DEMO_MEMBERS = ("packages/durable-core", "packages/durable-sqlite", "examples/durable-demo")


def _say(text: str) -> None:
    print(f"dev: {text}", file=sys.stderr, flush=True)


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _requirements(level: Level) -> list[Path]:
    return [ROOT / "requirements" / name for name in REQUIREMENTS[level]]


def _members(level: Level) -> list[Path]:
    return [ROOT / member for member in DEMO_MEMBERS] if level == "demo" else members()


def _wanted(level: Level) -> dict[str, str]:
    """What the environment is made from; equal to the stamp when nothing is left to do."""
    return {
        "level": level,
        "root": str(ROOT),
        "requirements": _digest(_requirements(level)),
        "members": _digest(member / "pyproject.toml" for member in _members(level)),
    }


def _stamp() -> dict[str, str]:
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    return stamp


def _works() -> bool:
    """Whether the environment's own Python starts: the one it was made from may be gone."""
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", ""], check=False).returncode == 0


def _pip(*arguments: str | Path) -> None:
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(command, check=False, cwd=ROOT)
    if done.returncode > 0:
        # pip gave up by itself, so what was there still stands; without a stamp it is tried again.
        INCOMPLETE.unlink()
    if done.returncode:
        _say("installing failed (see above); once that is mended, run the same command again")
        raise SystemExit(1)


def _make_venv() -> None:
    stale = INCOMPLETE.exists() or _stamp().get("root", str(ROOT)) != str(ROOT)
    if VENV.exists() and (stale or not _works()):
        shutil.rmtree(VENV)
    if not VENV.exists():
        VENV.mkdir()
        INCOMPLETE.touch()
        venv.create(VENV, with_pip=True, symlinks=True)
    elif not any(VENV.glob("lib/python*/site-packages/pip")):
        # Made by another tool, which leaves pip out.
        subprocess.run([PYTHON, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)


def _install(level: Level) -> None:
    began = time.monotonic()
    wanted = _wanted(level)
    _say(f"setting up {VENV.name} with Python {sys.version.split()[0]} for {level}")
    _make_venv()
    installed = _stamp().get("requirements")
    INCOMPLETE.touch()
    STAMP.unlink(missing_ok=True)
    if wanted["requirements"] != installed:
        files: list[str | Path] = []
        for path in _requirements(level):
            files += ["-r", path]
        _pip("install", "-q", "--require-hashes", *files)
    editables: list[str | Path] = []
    for member in _members(level):
        editables += ["-e", member]
    _pip("install", "-q", "--no-deps", "--no-build-isolation", *editables)
    STAMP.write_text(json.dumps(wanted), encoding="utf-8")
    INCOMPLETE.unlink()
    _say(f"set up in {time.monotonic() - began:.0f} s")


def setup(level: Level) -> None:
    """Make or refresh the environment; a finished one of the wanted level is left alone.

    Args:
        level: `demo` installs what the demo needs, `dev` everything. An environment that has
            everything keeps everything.

    Raises:
        SystemExit: Installing failed; the reason has been printed.
    """
    # Two terminals may ask for the environment at once; the second waits for the first.
    with Path(__file__).open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _stamp().get("level") == "dev":
            level = "dev"
        if INCOMPLETE.exists() or _stamp() != _wanted(level) or not _works():
            try:
                _install(level)
            except OSError as error:
                _say(f"cannot write the environment: {error}")
                _say(f"needed: about 500 MB, in a folder that you may write to ({ROOT})")
                raise SystemExit(1) from None


def _become(program: str, *arguments: str) -> NoReturn:
    environment = dict(os.environ)
    environment["VIRTUAL_ENV"] = str(VENV)
    environment["PATH"] = f"{BIN}{os.pathsep}{environment.get('PATH', os.defpath)}"
    path = shutil.which(program, path=environment["PATH"])
    if path is None:
        _say(f"there is no program {program!r} in {BIN}")
        raise SystemExit(127)
    sys.stdout.flush()
    os.execve(path, [path, *arguments], environment)


def _nox(*arguments: str) -> NoReturn:
    _become("nox", "--noxfile", str(ROOT / "noxfile.py"), *arguments)


def main(arguments: list[str]) -> None:
    """Run the task that the command line names."""
    match arguments:
        case [] | ["help" | "-h" | "--help"]:
            print(USAGE, end="")
        case ["setup"]:
            setup("dev")
        case ["demo", *rest]:
            setup("demo")
            _become("durable-demo", *rest)
        case ["nox", *rest]:
            setup("dev")
            _nox(*rest)
        case ["run", program, *rest]:
            setup("dev")
            _become(program, *rest)
        case ["test", *rest]:
            setup("dev")
            _nox("-s", "tests", "--", *rest)
        case [session, *rest]:
            setup("dev")
            _nox("-s", session, "--", *rest)
        case _:
            raise AssertionError(arguments)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        raise SystemExit(130) from None
