"""The report as Markdown."""

import re
from collections.abc import Iterable, Iterator, Sequence

from . import summary
from .evidence import Evidence
from .model import Study

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def render(study: Study, evidence: Evidence | None, *, words: str, timeline: str) -> str:
    """Render the report.

    Args:
        study: What was found out.
        evidence: What happened on the way; None before the run is over.
        words: Link to the plot of words.
        timeline: Link to the plot of the run.
    """
    lines = ["# Study of a folder", "", f"`{study.folder}`: {summary.totals(study)}.", ""]
    lines += [escape(summary.approval(study)), ""]
    if evidence is not None:
        lines += _run(evidence, timeline)
    lines += ["## The longest files", "", f"![Words per file]({words})", ""]
    lines += ["## All files", "", *table(summary.COLUMNS, map(summary.file_row, study.pages)), ""]
    broken = summary.broken_links(study)
    if broken:
        lines += ["## Links that lead nowhere", "", *table(("File", "Link"), broken), ""]
    return "\n".join(lines)


def _run(evidence: Evidence, timeline: str) -> Iterator[str]:
    yield from (f"## {summary.headline(evidence)}", "", summary.story(evidence), "")
    yield from (f"![Every step over time]({timeline})", "")
    yield from ("### Promises", "")
    kept = (
        ("kept" if check.kept else "**BROKEN**", escape(check.claim), escape(check.seen))
        for check in evidence.checks
    )
    yield from (*_rows(("", "Promise", "Seen"), kept), "")
    if evidence.kill is not None:
        yield from ("### Steps that were cut off and ran again", "")
        yield from (*table(summary.AGAIN_COLUMNS, summary.again_rows(evidence)), "")
        yield from ("### What else was recovered", "")
        yield f"The dead worker held {len(evidence.taken)} executions: {summary.held(evidence)}."
        others = list(summary.taken_rows(evidence))
        if others:
            yield from ("", *table(("Task", "File", "The kill found it", "Ended as"), others))
        yield ""
    yield from ("### Run it again", "", "```sh", evidence.command, "```", "")
    yield from (f"Everything is kept in `{evidence.storage}`.", "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; cells are plain text and are escaped."""
    return _rows(head, (tuple(map(escape, row)) for row in rows))


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def escape(text: str) -> str:
    """Make text mean itself in Markdown, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
