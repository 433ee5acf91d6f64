"""The pytest plug-in that gives the verdict, loaded by its entry point in every project."""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .settings import DEFAULT_ROWS, FOLDER, Settings, begin, end

if TYPE_CHECKING:
    from .jury import Jury
    from .verdict import Verdict

# Before anything imports the checks: their assertions explain themselves like anybody's tests.
pytest.register_assert_rewrite("durable_conformance.checks", "durable_conformance.stage")

_NAME = "durable-conformance"
_OUTPUT = "durable_conformance"
_SEED = "durable_seed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a run that certifies."""
    group = parser.getgroup(_NAME, "certifying storages")
    group.addoption(
        "--durable-certificate",
        metavar="PATH",
        help="write the certificate (JSON) there; without a class that certifies the run fails",
    )
    group.addoption(
        "--durable-target",
        metavar="NAME",
        help="the name in the certificate (default: the name of the class)",
    )
    group.addoption(
        "--durable-rows",
        type=int,
        default=DEFAULT_ROWS,
        metavar="N",
        help=f"rows in crowded queues and in the largest calls (default: {DEFAULT_ROWS})",
    )
    group.addoption(
        "--durable-seed",
        type=int,
        metavar="N",
        help="seed of all random choices (default: a new one for each run)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run."""
    run = _Run(config)
    config.pluginmanager.register(run, f"{_NAME}-run")
    config.add_cleanup(run.close)


class _Run:
    """One run of pytest; what takes time to import waits for the first class that certifies."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        self._config = config
        self._worker: bool = hasattr(config, "workerinput")
        self._jury: Jury | None = None
        self._verdicts: dict[str, Verdict] = {}
        self._problem = ""
        self._certificate: Path | None = None
        if option.durable_certificate and not self._worker:
            certificate = config.invocation_params.dir / option.durable_certificate
            # A run that ends early must not leave an older verdict behind.
            certificate.unlink(missing_ok=True)
            self._certificate = certificate
        seed = option.durable_seed
        if self._worker:
            seed = getattr(config, "workerinput").get(_SEED, seed)  # noqa: B009
        if seed is None:
            seed = secrets.randbelow(2**32)
        self._settings = Settings(seed=seed, rows=option.durable_rows)
        begin(self._settings)
        self._folder: str | None = None
        if FOLDER not in os.environ:
            self._folder = f"{tempfile.gettempdir()}/{_NAME}-{secrets.token_hex(8)}"
            os.environ[FOLDER] = self._folder

    def close(self) -> None:
        """End the run."""
        end()
        if self._folder is not None:
            del os.environ[FOLDER]
            shutil.rmtree(self._folder, ignore_errors=True)

    def _called(self) -> "Jury":
        if self._jury is None:
            from .jury import Jury  # noqa: PLC0415

            self._jury = Jury()
        return self._jury

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Name the checks when they are collected: whatever happens to them later is noticed."""
        # A class that certifies has imported the base class.
        if "durable_conformance.base" in sys.modules:
            self._called().meet(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell checks that the suite left out from those that somebody skipped."""
        report = yield
        if self._jury is not None and call.excinfo is not None:
            from .checking import NotDeclared, NotGiven  # noqa: PLC0415
            from .jury import LEFT_OUT, left_out  # noqa: PLC0415

            if isinstance(call.excinfo.value, NotDeclared | NotGiven):
                report.user_properties.append((LEFT_OUT, left_out(call.excinfo.value)))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hear every report, in the process that is told of all of them."""
        if not self._worker and report.user_properties:
            self._called().hear(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker of pytest-xdist the run's seed, which it would choose by itself."""
        node.workerinput[_SEED] = self._settings.seed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Hear what a worker of pytest-xdist knows of the storages."""
        said = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if said:
            self._called().believe(said)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Give the verdicts; a run that did not certify has failed."""
        if self._config.option.collectonly:
            return
        if self._worker:
            if self._jury is not None:
                output: dict[str, object] = getattr(self._config, "workeroutput")  # noqa: B009
                output[_OUTPUT] = self._jury.testimony()
            return
        if self._jury is not None:
            self._jury.believe(self._jury.testimony())
            self._judge(self._jury)
        if self._certificate is not None and not self._verdicts:
            self._problem = "NOT CERTIFIED: this run collected no class that certifies a storage"
        if (self._failed() or self._problem) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _judge(self, jury: "Jury") -> None:
        from .certificate import certificate, main_class, to_json  # noqa: PLC0415
        from .verdict import judge  # noqa: PLC0415

        self._verdicts = {id_: judge(evidence) for id_, evidence in jury.evidence.items()}
        if self._certificate is None or not self._verdicts:
            return
        target = self._config.option.durable_target
        main = main_class([verdict.name for verdict in self._verdicts.values()], target)
        self._certificate.parent.mkdir(parents=True, exist_ok=True)
        for id_, verdict in self._verdicts.items():
            name, path = target or verdict.name, self._certificate
            if verdict.name != main:
                name = f"{name}-{verdict.name}"
                path = path.with_name(f"{path.stem}-{verdict.name}{path.suffix}")
            one = certificate(verdict, jury.evidence[id_], self._settings, target=name)
            path.write_text(to_json(one), encoding="utf-8")

    def _failed(self) -> bool:
        """Whether a class is not certified; one that was deselected as a whole is only named."""
        if self._jury is None:
            return False
        return any(
            not verdict.certified
            and (self._jury.evidence[id_].outcomes or self._certificate is not None)
            for id_, verdict in self._verdicts.items()
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print one line for each class."""
        lines = [verdict.line() for verdict in self._verdicts.values()]
        if self._problem:
            lines.append(self._problem)
        if lines:
            terminalreporter.section(_NAME)
            for line in lines:
                terminalreporter.write_line(f"{_NAME}: {line}")
            seed = self._settings.seed
            terminalreporter.write_line(f"{_NAME}: seed {seed} (--durable-seed {seed} repeats it)")
