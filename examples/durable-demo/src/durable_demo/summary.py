"""What both forms of the report say, in numbers and sentences."""

from collections import Counter
from collections.abc import Iterator

from .diary import Ending
from .evidence import Again, Evidence
from .model import Facts, Study
from .text import Fingerprint, Links, Reading, Title, Words

SECOND = 1_000_000_000
COLUMNS = ("File", "Title", "Words", "Lines", "Links", "Broken", "Minutes", "SHA-256")
AGAIN_COLUMNS = ("Step", "File", "Begun", "Cut off", "Began again", "Runs", "Ended as")
_SHORT_HASH = 10


def headline(evidence: Evidence) -> str:
    """Say in one sentence how the run went."""
    if not evidence.kept:
        broken = sum(not check.kept for check in evidence.checks)
        return f"{broken} of {len(evidence.checks)} promises were broken: see below"
    if evidence.kill is None:
        return "Every promise was kept; nothing was killed"
    steps = _plural(len(evidence.again), "step")
    return f"Survived kill -9: {steps} cut off, all ran again, no result recorded twice"


def tiles(study: Study, evidence: Evidence) -> list[tuple[str, str]]:
    """Return the run's numbers, each with what it counts."""
    endings = Counter(run.ending for run in evidence.runs)
    numbers = [
        (f"{len(study.pages):,}", "files"),
        (f"{evidence.executions:,}", "executions"),
        (f"{endings[Ending.FAILED]:,}", "attempts failed, retried"),
        (f"{evidence.statuses.get('timed_out', 0):,}", "timed out"),
    ]
    if evidence.kill is not None:
        numbers += [
            (f"{len(evidence.taken):,}", "recovered"),
            (f"{len(evidence.again):,}", "steps cut off, run again"),
        ]
    return [*numbers, (f"{(evidence.ended - evidence.began) / SECOND:.1f} s", "from start to end")]


def story(evidence: Evidence) -> str:
    """Tell what the kill did and how the run went on."""
    kill = evidence.kill
    if kill is None:
        return "One worker process ran everything; with --no-kill nothing was killed."
    killed = (kill.at - evidence.began) / SECOND
    text = (
        f"{killed:.1f} s after the start, with {_plural(kill.recorded, 'result')} recorded, the"
        f" first worker (process {kill.pid}) was killed with SIGKILL. It held"
        f" {_plural(len(evidence.taken), 'execution')}; nobody could tell the storage. A second"
        f" worker process took up what was free at once, and what the dead one had held"
        f" when its lease of {kill.lease:g} s had run out"
    )
    starts = [one.again[0].started for one in evidence.again if one.again]
    if starts:
        text += f": the first cut-off step began again {(min(starts) - kill.at) / SECOND:.1f} s"
        text += " after the kill"
    return f"{text}."


def held(evidence: Evidence) -> str:
    """Say what the dead worker held, by what it was doing."""
    what = Counter(taken.was for taken in evidence.taken)
    return ", ".join(f"{count} {was}" for was, count in what.most_common())


def again_rows(evidence: Evidence) -> Iterator[tuple[str, ...]]:
    """Yield the cut-off steps, cells in the order of `AGAIN_COLUMNS`."""
    for one in evidence.again:
        yield (
            one.cut.step,
            one.cut.subject or "(the folder)",
            _at(one.cut.started, evidence),
            _cut(one, evidence),
            _at(one.again[0].started, evidence) if one.again else "never",
            str(1 + len(one.again)),
            one.status.replace("_", " "),
        )


def taken_rows(evidence: Evidence) -> Iterator[tuple[str, ...]]:
    """Yield what was recovered without having been cut off in a step."""
    cut = {(one.cut.step, one.cut.subject) for one in evidence.again}
    for taken in evidence.taken:
        if (taken.task, taken.subject) not in cut:
            status = taken.status.replace("_", " ")
            yield taken.task, taken.subject or "(the folder)", taken.was, status


def file_row(page: Facts) -> tuple[str, ...]:
    """Return the cells of a file, in the order of `COLUMNS`; what is missing says why."""
    missing = {step: f"({why.replace('_', ' ')})" for step, why in page.missing.items()}
    title, words, links = page.of(Title), page.of(Words), page.of(Links)
    reading, mark = page.of(Reading), page.of(Fingerprint)
    return (
        page.name,
        title.title if title else missing.get("title", ""),
        f"{words.words:,}" if words else missing.get("words", ""),
        f"{words.lines:,}" if words else "",
        f"{links.links:,}" if links else missing.get("links", ""),
        f"{len(links.broken):,}" if links else "",
        f"{reading.minutes:.1f}" if reading else missing.get("reading", ""),
        mark.sha256[:_SHORT_HASH] if mark else missing.get("fingerprint", ""),
    )


def broken_links(study: Study) -> list[tuple[str, str]]:
    """Return file and target of every link that leads nowhere."""
    return [
        (page.name, target)
        for page in study.pages
        if (links := page.of(Links))
        for target in links.broken
    ]


def totals(study: Study) -> str:
    """Say how much there is to read."""
    words = study.all(Words)
    links = sum(found.links for found in study.all(Links))
    minutes = sum(found.minutes for found in study.all(Reading))
    return (
        f"{_plural(len(study.pages), 'file')}, {sum(found.words for found in words):,} words,"
        f" {sum(found.lines for found in words):,} lines, {links:,} links,"
        f" {minutes / 60:.1f} hours to read"
    )


def approval(study: Study) -> str:
    """Say who let the report go out."""
    if study.approval is None:
        return "Nobody answered whether this report may go out."
    verb = "Approved" if study.approval.granted else "NOT approved"
    return f"{verb} by {study.approval.by}."


def _cut(one: Again, evidence: Evidence) -> str:
    if one.cut.ended is not None:
        return "done, not recorded"
    return _at(evidence.kill.at, evidence) if evidence.kill else ""


def _at(moment: int, evidence: Evidence) -> str:
    return f"{(moment - evidence.began) / SECOND:.2f} s"


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
