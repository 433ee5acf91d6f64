"""The verdict cannot be vacuous: what keeps a check from passing keeps the class from it, too."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from authors import HONEST, Project, Run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_an_honest_storage(project: Project) -> None:
    run = project.run(HONEST, "--durable-seed=7", "--durable-target=foo")
    assert run.certified(), run.output
    assert run.status == 0
    one = run.certificates["TestFoo"]
    assert (one["target"], one["seed"], one["rows"], one["protocol"]) == ("foo", 7, 100, 1)
    assert one["storage"] == "durable_core.storage.memory.storage:MemoryStorage"
    assert one["capabilities"]["push"] is True
    assert one["abilities"] == {"push": True, "transactional": False}
    assert {"python", "durable-core", "durable-conformance"} <= set(one["versions"])
    assert one["promises"]["CLAIM-3"] == "passed"
    assert one["promises"]["BIND-1"] == "not declared"
    assert one["promises"]["INSERT-8"] == "not declared"
    assert one["promises"]["ERROR-1"] == "not run"
    assert "failed" not in one["promises"].values()


@pytest.mark.parametrize(
    "settings",
    [
        "asyncio_mode = auto\nfilterwarnings = error",
        "asyncio_mode = strict\nfilterwarnings = error",
        "addopts = -p no:asyncio -p no:anyio",
    ],
    ids=["auto", "strict", "none"],
)
def test_whatever_the_project_does_for_asyncio(project: Project, settings: str) -> None:
    run = project.run(HONEST, settings=settings)
    assert run.certified(), run.output
    assert run.status == 0


def test_in_several_processes(project: Project) -> None:
    source = """
    from durable_conformance.settings import current

    class TestFoo(Memory):
        def open(self, namespace):
            with open("told.txt", "a") as file:
                file.write(f"{self.folder} {current().seed}\\n")
            (self.folder / namespace).touch()
            return super().open(namespace)
    """
    run = project.run(source, "-n", "2")
    assert run.certified(), run.output
    assert run.status == 0
    one = run.certificates["TestFoo"]
    assert one["capabilities"]["max_payload"] == 64 * 1024 * 1024
    told = {*(project.folder / "told.txt").read_text(encoding="utf-8").splitlines()}
    ((folder, seed),) = (line.split() for line in told)
    assert int(seed) == one["seed"], "all processes have the seed that is printed"
    assert not Path(folder).exists(), "the folder of a run is shared, and removed at its end"


SPOILED = """
class TestHonest(Memory):
    pass


class TestOverridden(Memory):
    def test_claim_3_no_row_twice(self):
        pass


class TestDeleted(Memory):
    test_claim_3_no_row_twice = None


class TestOneSkipped(Memory):
    @pytest.fixture(autouse=True)
    def server(self, request):
        if "claim_3" in request.node.name:
            pytest.skip("no server")


class TestAllSkipped(Memory):
    @pytest.fixture(autouse=True)
    def server(self):
        pytest.skip("no server")


class TestSkippedInside(Memory):
    def open(self, namespace):
        if namespace.startswith("claim_3"):
            pytest.skip("no server")
        return super().open(namespace)


class TestBadSetUp(Memory):
    @pytest.fixture(autouse=True)
    def server(self, request):
        assert "claim_3" not in request.node.name


class TestBadTearDown(Memory):
    @pytest.fixture(autouse=True)
    def server(self, request):
        yield
        assert "claim_3" not in request.node.name


@pytest.mark.skip(reason="later")
class TestMarkedSkip(Memory):
    pass


@pytest.mark.skipif(True, reason="no server")
class TestMarkedSkipIf(Memory):
    pass


@pytest.mark.xfail(strict=False)
class TestMarkedXfail(Memory):
    pass


@pytest.mark.xfail(run=False)
class TestMarkedXfailNotRun(Memory):
    pass


class TestMarkedByAFixture(Memory):
    @pytest.fixture(autouse=True)
    def server(self, request):
        if "claim_3" in request.node.name:
            request.applymarker(pytest.mark.xfail(strict=False))


class TestWithoutOpen(StorageConformance):
    pass


class Other(MemoryStorage):
    capabilities = replace(MemoryStorage().capabilities, resolution_us=7)


class TestHandlesDiffer(Memory):
    @asynccontextmanager
    async def open(self, namespace):
        async with super().open(namespace) as storage:
            if namespace.startswith("claim_1"):
                storage.__class__ = Other
            yield storage
"""

CLAIM_3 = {
    "TestOverridden": "failed",
    "TestDeleted": "failed",
    "TestOneSkipped": "not run",
    "TestAllSkipped": "not run",
    "TestSkippedInside": "not run",
    "TestBadSetUp": "failed",
    "TestBadTearDown": "failed",
    "TestMarkedSkip": "not run",
    "TestMarkedSkipIf": "not run",
    "TestMarkedXfail": "failed",
    "TestMarkedXfailNotRun": "failed",
    "TestMarkedByAFixture": "failed",
    "TestWithoutOpen": "failed",
    "TestHandlesDiffer": "passed",
}
"""Class -> what its certificate says of CLAIM-3."""

ONE_CHECK = {
    *("TestOverridden", "TestDeleted", "TestOneSkipped", "TestSkippedInside"),
    *("TestBadSetUp", "TestBadTearDown", "TestMarkedByAFixture", "TestHandlesDiffer"),
}
"""Classes whose other checks are as they should be."""


OVER_THE_WIRE = (
    *("TestOverridden", "TestOneSkipped", "TestBadTearDown", "TestMarkedSkip"),
    *("TestMarkedXfail", "TestHandlesDiffer"),
)
"""Classes that are tried in several processes, too."""


def only(*names: str) -> str:
    """Return the source without the classes that are not named."""
    classes = re.split(r"\n\n\n(?=@pytest|class )", SPOILED)
    return "\n\n\n".join(
        one
        for one in classes
        if (found := re.search(r"class (Test\w+)", one)) is None or found[1] in names
    )


def check_spoiled(run: Run, names: Iterable[str]) -> None:
    """Check what was said of each class; the honest one beside them is certified."""
    assert run.certified("TestHonest")
    assert run.status == 1
    for name in names:
        assert not run.certified(name)
        promises = run.certificates[name]["promises"]
        assert (name, promises["CLAIM-3"]) == (name, CLAIM_3[name])
        assert (name, promises["CLAIM-4"] == "passed") == (name, name in ONE_CHECK)
        assert (name, "passed" in promises.values()) == (name, name in ONE_CHECK)


def reason(run: Run, name: str) -> str:
    return "; ".join(run.certificates[name]["reasons"])


# One run for all these classes: starting pytest takes longer than judging one of them.
def test_classes_that_spoil_checks(project: Project) -> None:
    run = project.run(SPOILED)
    check_spoiled(run, CLAIM_3)
    assert reason(run, "TestOverridden") == reason(run, "TestDeleted")
    assert "overridden or deleted" in reason(run, "TestOverridden")
    assert "test_claim_3_no_row_twice" in reason(run, "TestOverridden")
    assert reason(run, "TestOneSkipped") == "not run: CLAIM-3 (no server)"
    assert "(later)" in reason(run, "TestMarkedSkip")
    assert "nothing is known of the storage" in reason(run, "TestMarkedSkip")
    assert "(marked xfail)" in reason(run, "TestMarkedXfail")
    assert "(error in teardown)" in reason(run, "TestBadTearDown")
    assert "handles declare different capabilities" in reason(run, "TestHandlesDiffer")
    assert "TestWithoutOpen must define open(self, namespace)" in run.output


def test_classes_that_spoil_checks_in_other_processes(project: Project) -> None:
    run = project.run(only("TestHonest", *OVER_THE_WIRE), "-n", "2")
    check_spoiled(run, OVER_THE_WIRE)


@pytest.mark.parametrize("choice", [("-k", "claim_3"), ("-k", "not claim_3"), ("--deselect",)])
def test_deselected(project: Project, choice: tuple[str, ...]) -> None:
    if choice == ("--deselect",):
        choice = ("--deselect", "test_foo.py::TestFoo::test_claim_4_the_record_after_the_claim")
    run = project.run(HONEST, *choice, "-n", "2" if "-k" in choice else "0")
    assert not run.certified()
    assert "not run" in run.certificates["TestFoo"]["promises"].values()
    assert "failed" not in run.certificates["TestFoo"]["promises"].values()


def test_taken_out_by_a_hook(project: Project) -> None:
    hook = "def pytest_collection_modifyitems(items):\n    del items[:1]\n"
    (project.folder / "conftest.py").write_text(hook, encoding="utf-8")
    assert not project.run(HONEST).certified()


def test_stopped_early(project: Project) -> None:
    run = project.run("class TestFoo(Memory):\n    test_apply_1_values = lambda self: 1 / 0", "-x")
    assert not run.certified()


def test_nothing_that_certifies(project: Project) -> None:
    project.certificate.write_text('{"certified": true}', encoding="utf-8")
    run = project.run("def test_nothing(): pass")
    assert run.status == 1
    assert run.certificates == {}, "an older certificate was left behind"
    assert "NOT CERTIFIED" in run.output


def test_without_a_storage_nothing_is_said(project: Project) -> None:
    run = project.run("def test_nothing(): pass", certificate=False)
    assert (run.status, run.lines) == (0, [])


def test_other_tests_can_be_run_alone(project: Project) -> None:
    source = f"def test_other(): pass\n\n{HONEST}"
    run = project.run(source, "-k", "test_other", certificate=False)
    assert run.status == 0
    assert any("TestFoo: NOT CERTIFIED" in line for line in run.lines)
    assert project.run(source, "-k", "test_other").status == 1, "a certificate was asked for"


def test_collecting_gives_no_verdict(project: Project) -> None:
    run = project.run(HONEST, "--collect-only", certificate=False)
    assert (run.status, run.lines) == (0, [])


def test_without_the_plug_in_nothing_passes(project: Project) -> None:
    run = project.run(HONEST, "-p", "no:durable_conformance", certificate=False)
    assert run.status != 0


def test_a_failing_check_explains_itself(project: Project) -> None:
    source = """
    class Forgetful(MemoryStorage):
        async def insert(self, *, items, now):
            return await super().insert(items=items[:1], now=now)

    class TestFoo(Memory):
        kind = Forgetful
    """
    run = project.run(source, "-k", "insert_1", "--tb=long")
    assert not run.certified()
    assert "INSERT-1 promises: A created row reads back" in run.output
    assert "InsertOutcome.CREATED: 'created'" in run.output, "assertions are rewritten"


LIES = {
    "PushBroken": ("push=True", "CAPABILITY-1", "failed"),
    "BindMissing": ("bind=True", "CAPABILITY-1", "failed"),
    "BindNotProven": ("bind=True", "BIND-1", "not run"),
    "BindCheckpointAlone": ("bind_checkpoint=True", "CAPABILITY-1", "failed"),
    "PushHidden": ("push=False", "CAPABILITY-2", "failed"),
    "PulseHidden": ("pulse=False", "CAPABILITY-2", "failed"),
    "LeasesHidden": ("leases=False", "CAPABILITY-2", "failed"),
    "GatesMeaningless": ("gates=True", "CAPABILITY-1", "failed"),
    "BatchTooLarge": ("max_batch_rows=90", "CAPABILITY-3", "failed"),
    "PayloadTooSmall": ("max_payload=1_000", "ERROR-5", "failed"),
    "DurableWithoutAWord": ("durable=True, durability=''", "CAPABILITY-1", "failed"),
    "AnotherProtocol": ("protocol=7", "SCHEMA-2", "failed"),
}
"""Storage -> what it declares, the promise that it breaks, and what is said of that."""


def test_capabilities_that_are_not_true(project: Project) -> None:
    classes = [
        f"""
class {name}(MemoryStorage):
    @property
    def capabilities(self):
        return replace(super().capabilities, {declared})

    if "{name}" == "PushBroken":
        def listen(self, *, queues):
            raise RuntimeError("not yet")

    if "{name}" == "BatchTooLarge":
        async def insert(self, *, items, now):
            if len(items) > 80:
                raise TooLargeError("more than 80")
            return await super().insert(items=items, now=now)


class Test{name}(Memory):
    kind = {name}
"""
        for name, (declared, *_) in LIES.items()
    ]
    run = project.run("\n".join(classes))
    for name, (_, promise, status) in LIES.items():
        assert not run.certified(f"Test{name}")
        promises = run.certificates[f"Test{name}"]["promises"]
        assert (name, promises[promise]) == (name, status)
