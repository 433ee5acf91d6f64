"""The document about the state machine says what the table in the code says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(name="tool", scope="module")
def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "state_machine", ROOT / "tools" / "state_machine.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_is_up_to_date(tool: ModuleType) -> None:
    assert tool.main(["--check"]) == 0


def test_a_document_that_differs_is_seen_and_mended(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = tool.DOCUMENT.read_text(encoding="utf-8")
    copy = tmp_path / "copy.md"
    copy.write_text(right.replace("| wake |", "| woke |"), encoding="utf-8")
    monkeypatch.setattr(tool, "DOCUMENT", copy)
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0
    assert copy.read_text(encoding="utf-8") == right


def test_a_document_without_marks_is_refused(tool: ModuleType) -> None:
    with pytest.raises(ValueError, match="has not both marks"):
        tool.redrawn("nothing to draw here")
