"""What can be learned of a text: pure functions, with no engine in sight."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

WORDS_PER_MINUTE = 220
COMMON_LENGTH = 4
COMMON_COUNT = 3

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?:;]+(?=\s|$)|\n\s*\n")
_MARKDOWN_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_ADDRESS = re.compile(r"\b(?:https?|ftp)://[^\s<>\"'`)\]}]+")
_HTML_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_DOCSTRING = re.compile(r"\A(?:\s*#[^\n]*\n)*\s*[rR]?(?:\"\"\"|''')\s*([^\n\"']+)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Fingerprint:
    """What identifies the bytes of a file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Title:
    """What a text calls itself."""

    title: str


@dataclass(frozen=True)
class Words:
    """How much there is to read."""

    words: int
    distinct: int
    lines: int
    common: tuple[str, ...]


@dataclass(frozen=True)
class Links:
    """What a text points at; `broken` are the relative links that lead nowhere."""

    links: int
    broken: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """How long it takes to read, and how long its sentences are."""

    minutes: float
    words_per_sentence: float


def take_fingerprint(data: bytes) -> Fingerprint:
    """Hash the bytes of a file."""
    return Fingerprint(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def find_title(name: str, text: str) -> Title:
    """Return the first heading, docstring line or `<title>`; the first line if there is none.

    Args:
        name: The file's name; its ending tells where a title is found.
        text: The file's contents.
    """
    found = _title_by_kind(PurePosixPath(name).suffix.lower(), text)
    first = next((line.strip() for line in text.splitlines() if line.strip(" \t#/*-=;<>!")), "")
    return Title(title=" ".join((found or first.strip("#/*-=;<>! ") or "(empty)").split()))


def _title_by_kind(suffix: str, text: str) -> str | None:
    if suffix == ".py":
        match = _DOCSTRING.search(text)
    elif suffix in {".html", ".htm", ".svg", ".xml"}:
        match = _HTML_TITLE.search(text)
    elif suffix in {".md", ".markdown"}:
        match = re.search(r"^#{1,6}\s+(.+?)\s*#*$", _FENCE.sub("", text), re.MULTILINE)
    else:
        match = None
    return match[1] if match else None


def count_words(text: str) -> Words:
    """Count words, distinct words and lines, and name the commonest longer words."""
    counted = Counter(word.lower() for word in _WORD.findall(text))
    longer = ((word, count) for word, count in counted.items() if len(word) >= COMMON_LENGTH)
    by_count = sorted(longer, key=lambda pair: (-pair[1], pair[0]))
    return Words(
        words=counted.total(),
        distinct=len(counted),
        lines=len(text.splitlines()),
        common=tuple(word for word, _ in by_count[:COMMON_COUNT]),
    )


def find_links(name: str, text: str) -> list[str]:
    """Return the targets of all links, in order: Markdown's and bare addresses.

    Args:
        name: The file's name; only Markdown is searched for Markdown's links.
        text: The file's contents.
    """
    if PurePosixPath(name).suffix.lower() in {".md", ".markdown"}:
        prose = _FENCE.sub("", text)
        targets: list[str] = _MARKDOWN_LINK.findall(prose)
        bare: list[str] = _ADDRESS.findall(_MARKDOWN_LINK.sub("", prose))
        return targets + bare
    return _ADDRESS.findall(text)


def relative_paths(links: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the links relative to their file, each with the path it names."""
    for link in links:
        path = unquote(link.partition("#")[0].partition("?")[0])
        if path and path[0] != "/" and ":" not in path.partition("/")[0]:
            yield link, path


def measure_reading(text: str) -> Reading:
    """Estimate the minutes to read a text, and measure its sentences."""
    words = len(_WORD.findall(text))
    sentences = len([part for part in _SENTENCE_END.split(text) if _WORD.search(part)])
    return Reading(
        minutes=round(words / WORDS_PER_MINUTE, 2),
        words_per_sentence=round(words / sentences, 1) if sentences else 0.0,
    )
