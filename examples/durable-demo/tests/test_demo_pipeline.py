"""The pipeline on a storage in memory: no process, no kill, no wall-clock waits."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from durable_core import Call, Status
from durable_core.testing import ExecutorFactory, FakeClock, run_until_idle, settle
from durable_demo import diary
from durable_demo.casting import Cast
from durable_demo.diary import Ending
from durable_demo.model import Approval, Assignment, Facts, Page
from durable_demo.pipeline import (
    PATIENCE,
    approval,
    links,
    study_folder,
    study_page,
    tasks,
    title,
    words,
)
from durable_demo.stage import VARIABLE, Stage
from durable_demo.text import Fingerprint, Links, Reading, Title, Words
from durable_demo.verify import PAGE_STEPS, STEPS

TEXT = "# A page\n\nSee [one](b.md), [two](gone.md) and <https://example.org>.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(TEXT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    cast = Cast(seed=1, hiccups={"b.md": 2}, silent="silent.md")
    stage = Stage(diary=tmp_path / "diary", worker=1, pace=0.0, patience=9.0, cast=cast)
    monkeypatch.setenv(VARIABLE, stage.dump())
    return stage


def test_a_step_stays_a_plain_function(folder: Path) -> None:
    page = Page(folder, "a.md")

    assert words(page).lines == 3
    assert links(page) == Links(links=3, broken=("gone.md",))


async def test_a_coroutine_too(folder: Path) -> None:
    assert await title(Page(folder, "a.md")) == Title("A page")


async def test_a_page_fans_out_over_the_steps_that_are_judged(folder: Path) -> None:
    fan_out = await study_page(Page(folder, "a.md"))

    assert tuple(call.task.name for call in fan_out.children) == PAGE_STEPS
    assert all(isinstance(call, Call) for call in fan_out.children)
    assert {task.name for task in tasks} == {*STEPS, "study_page", "study_folder", "approval"}


@pytest.mark.usefixtures("stage")
async def test_a_page_is_studied(folder: Path, durable_executor: ExecutorFactory) -> None:
    async with durable_executor(tasks=tasks) as executor:
        handle = await executor.enqueue(study_page, Page(folder, "a.md"))
        facts = await handle.result(timeout=20)

    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    assert facts.of(Fingerprint) == Fingerprint(sha256=sha256, size=len(TEXT))
    assert facts.of(Title) == Title("A page")
    assert facts.of(Words) is not None
    assert facts.of(Links) == Links(links=3, broken=("gone.md",))
    assert facts.of(Reading) is not None
    assert facts.missing == {}


async def test_the_diary_tells_each_start_and_each_hiccup(
    folder: Path, stage: Stage, durable_executor: ExecutorFactory
) -> None:
    async with durable_executor(tasks=tasks) as executor:
        handle = await executor.enqueue(study_page, Page(folder, "b.md"))
        await run_until_idle(executor, horizon=60)
        assert await handle.status() is Status.COMPLETED

    runs = diary.read(stage.diary)
    assert sorted(run.step for run in runs) == sorted([*PAGE_STEPS, "words", "words"])
    endings = [run.ending for run in runs if run.step == "words"]
    assert endings == [Ending.FAILED, Ending.FAILED, Ending.DONE]
    assert [run.attempt for run in runs if run.step == "words"] == [1, 2, 3]
    assert all(run.ended is not None for run in runs)


@pytest.mark.usefixtures("stage")
async def test_a_step_that_fails_for_good_spoils_no_other(
    folder: Path, durable_executor: ExecutorFactory
) -> None:
    async with durable_executor(tasks=tasks) as executor:
        handle = await executor.enqueue(study_page, Page(folder, "gone.md"))
        await run_until_idle(executor)
        facts = await handle.result()

    assert facts == Facts(name="gone.md", missing=dict.fromkeys(PAGE_STEPS, "failed"))


async def test_a_service_that_never_answers_is_given_up(
    folder: Path, stage: Stage, durable_clock: FakeClock, durable_executor: ExecutorFactory
) -> None:
    async with durable_executor(tasks=tasks) as executor:
        handle = await executor.enqueue(study_page, Page(folder, "silent.md"))
        while not any(run.step == "reading" for run in diary.read(stage.diary)):
            await settle()
        await durable_clock.advance(PATIENCE)
        await run_until_idle(executor)
        facts = await handle.result()

    assert facts.missing["reading"] == "timed_out"
    (reading,) = (run for run in diary.read(stage.diary) if run.step == "reading")
    assert reading.ending is Ending.STOPPED


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("granted", [True, False])
async def test_the_report_waits_for_the_approval(
    folder: Path, durable_executor: ExecutorFactory, *, granted: bool
) -> None:
    report = folder / "report"
    assignment = Assignment(folder, ("a.md", "b.md"), report, "key-1")
    async with durable_executor(tasks=tasks) as executor:
        handle = await executor.enqueue(study_folder, assignment)
        await run_until_idle(executor, horizon=60)
        assert await handle.status() is Status.WAITING_FOR_CHILDREN
        assert not report.exists()

        await executor.wake(approval, "key-1", Approval(granted=granted, by="a test"))
        await run_until_idle(executor)
        study = await handle.result()

    assert [page.name for page in study.pages] == ["a.md", "b.md"]
    assert study.approval == Approval(granted=granted, by="a test")
    verb = "Approved" if granted else "NOT approved"
    assert f"{verb} by a test." in (report / "report.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("stage")
async def test_an_approval_that_nobody_gives_does_not_hold_up_the_report_for_ever(
    folder: Path, durable_executor: ExecutorFactory
) -> None:
    assignment = Assignment(folder, ("a.md",), folder / "report", "key-1")
    async with durable_executor(tasks=tasks) as executor:
        handle = await executor.enqueue(study_folder, assignment)
        await run_until_idle(executor, horizon=timedelta(hours=2))
        study = await handle.result()

    assert study.approval is None


def test_a_stage_crosses_the_border_between_processes(stage: Stage) -> None:
    assert Stage.load(stage.dump()) == stage
