"""What the command line refuses, and how: nothing is run here."""

import fcntl
import importlib.util
import sys
from pathlib import Path

import pytest

from durable_demo.cli import main
from durable_demo.storage import SERVERS, locate, shown


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n", encoding="utf-8")
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run the command line, see that it refuses, and return what it says."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    message, advice = captured.err.splitlines()
    assert message.startswith("durable-demo: ")
    assert advice.startswith("  ")
    return captured.err


def test_help_explains_folder_options_and_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])

    text = capsys.readouterr().out
    assert caught.value.code == 0
    for word in ("folder", "--out", "--storage", "--no-kill", "--ask", "--seed", "exit codes"):
        assert word in text


def test_a_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, tmp_path / "gone", "--out", tmp_path / "out")

    assert f"there is no folder {tmp_path / 'gone'}" in said


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()

    said = refused(capsys, tmp_path / "empty", "--out", tmp_path / "out")

    assert "there is no text file in" in said


def test_output_that_cannot_be_written(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    said = refused(capsys, notes, "--out", tmp_path / "file")

    assert "cannot write to" in said
    assert "--out DIR" in said


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("oracle://anna:secret@localhost/x", "--storage oracle://… is no storage"),
        ("postgresql+psycopg://anna:secret@localhost/x", "asyncpg as the driver"),
        (":memory:", "dies with its process"),
        ("sqlite:///", "dies with its process"),
    ],
)
def test_a_storage_that_two_processes_cannot_share(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], storage: str, reason: str
) -> None:
    said = refused(capsys, notes, "--out", tmp_path / "out", "--storage", storage)

    assert reason in said
    assert "secret" not in said


def test_a_storage_whose_package_is_missing(
    notes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "durable_postgres", None)

    url = "postgresql://anna:secret@localhost/x"
    said = refused(capsys, notes, "--out", tmp_path / "out", "--storage", url)

    assert "needs the package durable-postgres" in said
    assert 'pip install "durable-core[postgres]"' in said
    assert "secret" not in said


@pytest.mark.parametrize("scheme", SERVERS)
def test_servers_that_are_known(scheme: str) -> None:
    url = f"{scheme}://anna:secret@localhost:1/x?password=secret"

    assert locate(url) == url
    assert shown(url) == f"{scheme}://anna@localhost:1/x"
    package, _ = SERVERS[scheme]
    assert importlib.util.find_spec(f"durable_{package}") is not None


def test_two_runs_do_not_share_their_output(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        said = refused(capsys, notes, "--out", out)

    assert "another run" in said


def test_only_files_of_an_earlier_run_are_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("report.html", "durable-demo.db-wal", "mine.txt"):
        (out / name).touch()

    refused(capsys, tmp_path / "gone", "--out", out)

    assert sorted(path.name for path in out.iterdir()) == ["mine.txt", "run.lock"]


@pytest.mark.parametrize("limit", ["0", "-3", "many", "1001"])
def test_a_limit_is_a_positive_number(
    notes: Path, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(notes), f"--limit={limit}"])

    assert caught.value.code == 2
    assert f"{limit} is no number from 1 to 1000" in capsys.readouterr().err
