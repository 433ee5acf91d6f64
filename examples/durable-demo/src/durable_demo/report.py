"""Write the report: Markdown, HTML, and the plots as files of their own."""

from pathlib import Path

from . import markdown, plot, web
from .evidence import Evidence
from .model import Study
from .text import Words

MARKDOWN = "report.md"
HTML = "report.html"
TIMELINE = "timeline.svg"
WORDS = "words.svg"

_LONGEST = 15


def write(folder: Path, study: Study, evidence: Evidence | None = None) -> None:
    """Write the report into a folder; safe to repeat, and never leaves half a file behind.

    The pipeline writes it without evidence: a step cannot know how the run will end. The demo
    writes it again when everything is over.

    Args:
        folder: Made if it is missing.
        study: What was found out.
        evidence: What happened on the way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = longest(study)
    bars = plot.bars(words, f"the {len(words)} files with the most words")
    timeline = plot.timeline(evidence) if evidence else None
    _replace(folder / WORDS, bars)
    if timeline is not None:
        _replace(folder / TIMELINE, timeline)
    _replace(folder / MARKDOWN, markdown.render(study, evidence, words=WORDS, timeline=TIMELINE))
    _replace(folder / HTML, web.render(study, evidence, words=bars, timeline=timeline))


def longest(study: Study) -> list[tuple[str, int]]:
    """Return the files with the most words, and how many; the longest first."""
    counted = [(page.name, found.words) for page in study.pages if (found := page.of(Words))]
    return sorted(counted, key=lambda pair: (-pair[1], pair[0]))[:_LONGEST]


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
