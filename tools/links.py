"""Follow every link inside the repository that a Markdown file holds; fail for each dead one."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from workspace import ROOT, files

_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def _headings(document: Path) -> set[str]:
    """The anchors of a document's headings, made as the usual viewers make them."""
    text = document.read_text(encoding="utf-8")
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
        anchor = base = slug.replace(" ", "-")
        count = 0
        while anchor in found:
            count += 1
            anchor = f"{base}-{count}"
        found.add(anchor)
    return found


def _dead(document: Path) -> Iterator[str]:
    text = document.read_text(encoding="utf-8")
    for match in _LINK.finditer(_CODE.sub("", _FENCE.sub("", text))):
        link = match[1] or match[2]
        if _ELSEWHERE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists():
            yield f"{link}: no such file"
        elif not target.is_relative_to(ROOT):
            yield f"{link}: outside the repository"
        elif anchor and target.suffix == ".md" and anchor not in _headings(target):
            yield f"{link}: no such heading"


if __name__ == "__main__":
    documents = files("*.md")
    dead = [f"{file.relative_to(ROOT)}: {text}" for file in documents for text in _dead(file)]
    print("\n".join(dead) or f"links: none dead in {len(documents)} documents")
    sys.exit(bool(dead))
