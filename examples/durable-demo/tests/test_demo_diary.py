from pathlib import Path

from durable_demo import diary
from durable_demo.diary import Ending, Run


def start(number: str, worker: int = 1) -> Run:
    return Run(
        number=number,
        execution=f"id-{number}",
        step="words",
        subject="caf\u00e9.md",
        attempt=1,
        worker=worker,
        started=100,
        takes=0.5,
    )


def test_a_run_is_its_start_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / "diary"
    diary.note_start(path, start("1"))
    diary.note_start(path, start("2"))
    diary.note_end(path, number="1", at=250, ending=Ending.FAILED, error="a\nhiccup")

    first, second = diary.read(path)

    assert (first.ended, first.ending, first.error) == (250, Ending.FAILED, "a\nhiccup")
    assert second == start("2")
    assert second.ending is Ending.CUT_OFF


def test_the_last_words_of_a_killed_process_spoil_nothing(tmp_path: Path) -> None:
    path = tmp_path / "diary"
    diary.note_start(path, start("1"))
    diary.note_start(path, start("2"))
    path.write_bytes(path.read_bytes()[:-20])
    diary.note_start(path, start("3", worker=2))

    assert [run.number for run in diary.read(path)] == ["1", "3"]


def test_a_diary_that_nobody_has_begun_is_empty(tmp_path: Path) -> None:
    assert diary.read(tmp_path / "diary") == []


def test_a_run_knows_how_long_it_still_means_to_take() -> None:
    assert start("1").left(now=100 + 200_000_000) == 0.3
