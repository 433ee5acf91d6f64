"""The demo as users run it: its own process, two workers, one real SIGKILL, SQLite on disk."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import servers

from durable_demo import diary
from durable_demo.diary import Ending

PLAIN = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(6):
        text = f"# Note {number}\n\nSee [another](note-{number + 1}.md). " + "word " * 50 * number
        (folder / f"note-{number}.md").write_text(text, encoding="utf-8")
    return folder


def demo(*arguments: str | Path, answer: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "durable_demo", *map(str, arguments)]
    return subprocess.run(
        command, input=answer, capture_output=True, text=True, env=PLAIN, timeout=60, check=False
    )


@pytest.mark.slow
def test_a_run_survives_a_kill_and_proves_it(notes: Path, tmp_path: Path) -> None:
    out, storage = tmp_path / "out", tmp_path / "mine.sqlite"

    done = demo(notes, "--out", out, "--seed", "3", "--storage", storage)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "Survived kill -9" in done.stdout
    runs = diary.read(out / "steps.jsonl")
    cut = [run for run in runs if run.ending is Ending.CUT_OFF]
    assert {run.worker for run in cut} == {1}
    for run in cut:
        again = [one for one in runs if one.execution == run.execution and one.worker == 2]
        assert again, f"{run.step} {run.subject} did not run again"
        assert f"{run.step:<12} {run.subject}" in done.stdout
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "no result recorded twice" in report
    assert "note-6.md" in report, "the link that leads nowhere"
    assert "<svg" in (out / "report.html").read_text(encoding="utf-8")
    with closing(sqlite3.connect(storage)) as database:
        (ended,) = database.execute(
            "select count(*), count(distinct id), count(finished_at) from durable_executions"
        )
    assert ended == (39, 39, 39)


@pytest.mark.slow
def test_a_run_on_a_server(notes: Path, tmp_path: Path) -> None:
    """Only the location is another one; it is shown without its password."""
    with servers.servers(["postgres"]) as environment:
        url = environment.get(servers.postgres.URL) or os.environ[servers.postgres.URL]

        done = demo(notes, "--out", tmp_path / "out", "--storage", url)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "Survived kill -9" in done.stdout
    assert url in done.stdout
    assert not (tmp_path / "out" / "durable-demo.db").exists()


def test_without_a_kill_one_worker_does_everything(notes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    done = demo(notes, "--out", out, "--no-kill", "--ask", answer="y\n")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "approved by you" in done.stdout
    assert {run.worker for run in diary.read(out / "steps.jsonl")} == {1}
    assert not (out / "worker-2.log").exists()


def test_an_interrupted_run_takes_its_worker_along(notes: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "durable_demo", str(notes), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=PLAIN,
        # Whoever runs the tests in the background may have SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stdout is not None
        started = next(line for line in process.stdout if "worker 1" in line)
        worker = re.search(r"process (\d+)", started)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "interrupted" in said
    assert worker is not None
    with pytest.raises(ProcessLookupError):
        os.kill(int(worker[1]), 0)
