"""The command line: certify, promises, reference, page."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from authors import HONEST, PREAMBLE, QUIET

from durable_conformance.cli import main
from durable_conformance.promises import PROMISES

FAILING = HONEST.replace("    pass", "    test_claim_3_no_row_twice = None")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder, body in (("packages/durable-foo", HONEST), ("storages/bar", FAILING)):
        tests = tmp_path / folder / "tests"
        tests.mkdir(parents=True)
        source = PREAMBLE + body.replace("TestFoo", f"Test{folder[-3:].title()}")
        (tests / "test_conformance.py").write_text(source, encoding="utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{QUIET}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return tmp_path


def certificate(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def test_certify_by_short_name_from_anywhere_below(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace / "packages")
    assert main(["certify", "foo", "--rows=100", "--seed=5"]) == 0
    one = certificate(workspace / "build" / "certificates" / "foo.json")
    assert (one["target"], one["certified"], one["seed"], one["rows"]) == ("foo", True, 5, 100)
    assert one["level"] == "Contract"


def test_certify_what_does_not_pass(workspace: Path) -> None:
    assert main(["certify", "bar", "--rows=100"]) == 1
    one = certificate(workspace / "build" / "certificates" / "bar.json")
    assert (one["certified"], one["level"]) == (False, None)
    assert one["promises"]["CLAIM-3"] == "failed"


def test_certify_a_file_under_a_name(workspace: Path) -> None:
    path = workspace / "out" / "mine.json"
    file = "packages/durable-foo/tests/test_conformance.py"
    arguments = ["certify", file, "--target", "mine", "--certificate", str(path), "--rows=100"]
    assert main([*arguments, "--", "-n", "2"]) == 0
    assert certificate(path)["target"] == "mine"


def test_certify_only_a_part_does_not_certify(workspace: Path) -> None:
    node = "packages/durable-foo/tests/test_conformance.py::TestFoo"
    assert main(["certify", node, "--rows=100", "--", "-k", "claim"]) == 1
    one = certificate(workspace / "build" / "certificates" / "foo.json")
    assert (one["certified"], one["promises"]["WAKE-1"]) == (False, "not run")


@pytest.mark.usefixtures("workspace")
def test_certify_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "nothing"]) == 2
    assert "no storage 'nothing'; there are bar, foo" in capsys.readouterr().err


def test_certify_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["certify", "foo"]) == 2
    assert "no tests/test_conformance.py from here up" in capsys.readouterr().err


def test_promises(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promises"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{id_}  [" in listed for id_ in PROMISES)
    assert main(["promises", "bind", "ERROR"]) == 0
    listed = capsys.readouterr().out
    assert "BIND-1  [Contract; if bind; needs transaction()]" in listed
    assert "CLAIM-1" not in listed
    assert main(["promises", "LUCK"]) == 2
    assert "no area LUCK; there are INSERT, CLAIM" in capsys.readouterr().err


def test_page(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["certify", "bar", "--rows=100"])
    file = str(workspace / "build" / "certificates" / "bar.json")
    capsys.readouterr()
    assert main(["page", file]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# bar\n\n**Not certified**")
    assert "overridden or deleted by the class: test_claim_3_no_row_twice" in page
    assert "| CLAIM-3 | **failed** | No row is held by two claims" in page
    assert "| push | no |" in page, "an ability is proven or it is not there"
    assert main(["page", file, "--output", "bar.md"]) == 0
    assert (workspace / "bar.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("text", [None, "{", "[]", '{"format": "other/1"}'])
def test_page_of_what_is_no_certificate(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "one.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    assert main(["page", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["certify", "--help"]])
def test_help(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "durable_conformance", *arguments],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "durable-conformance" in done.stdout
    assert "certif" in done.stdout
