import os
from pathlib import Path
from typing import Any

import pytest

from durable_demo import files
from durable_demo.errors import DemoError


def write(folder: Path, name: str, data: bytes = b"some text\n") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_text_files_are_found_in_order_whatever_their_ending(tmp_path: Path) -> None:
    for name in ("b.txt", "a.md", "sub/c", "sub/deep/\u00e9.py"):
        write(tmp_path, name)

    found = files.find(tmp_path)

    assert found.names == ("a.md", "b.txt", "sub/c", "sub/deep/\u00e9.py")
    assert found.folder == tmp_path.resolve()
    assert found.unreadable == 0


def test_what_is_no_source_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "kept.txt")
    for name in (".git/config", ".env", "build/x.txt", "node_modules/y.js", "mine/report.md"):
        write(tmp_path, name)
    write(tmp_path, "empty.txt", b"")
    write(tmp_path, "image.png", b"\x89PNG\0\0")
    write(tmp_path, "latin.txt", b"caf\xe9 cr\xe8me")
    write(tmp_path, "large.txt", b"x" * (files.MAX_SIZE + 1))
    (tmp_path / "link.txt").symlink_to(tmp_path / "kept.txt")

    assert files.find(tmp_path, leave_out=tmp_path / "mine").names == ("kept.txt",)


@pytest.mark.parametrize("shift", range(4))
def test_a_character_cut_by_the_sniffing_is_text(tmp_path: Path, shift: int) -> None:
    write(tmp_path, "emoji.txt", b"a" * shift + "\U0001f40d".encode() * 4000)

    assert files.find(tmp_path).names == ("emoji.txt",)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"no folder .*gone") as caught:
        files.find(tmp_path / "gone")
    assert "name one that exists" in caught.value.advice


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.md")

    with pytest.raises(DemoError, match="is a file") as caught:
        files.find(tmp_path / "a.md")
    assert str(tmp_path) in caught.value.advice


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="no text file in"):
        files.find(tmp_path)


def refuse(monkeypatch: pytest.MonkeyPatch, *refused: Path) -> None:
    """Deny these paths, as a missing permission does to everybody but root."""
    scandir: Any = os.scandir
    opened: Any = Path.open

    def strict_scandir(path: Path) -> Any:
        if path in refused:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    def strict_open(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self in refused:
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(os, "scandir", strict_scandir)
    monkeypatch.setattr(Path, "open", strict_open)


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, tmp_path.resolve())

    with pytest.raises(DemoError, match="not readable: Permission denied"):
        files.find(tmp_path)


def test_entries_that_may_not_be_read_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.md", "secret.md", "locked/b.md"):
        write(tmp_path, name)
    refuse(monkeypatch, tmp_path.resolve() / "secret.md", tmp_path.resolve() / "locked")

    found = files.find(tmp_path)

    assert found.names == ("a.md",)
    assert found.unreadable == 2


def test_a_name_that_is_no_text_cannot_be_stored() -> None:
    assert files.has_text_name("caf\u00e9.md")
    assert not files.has_text_name(os.fsdecode(b"caf\xe9.md"))
