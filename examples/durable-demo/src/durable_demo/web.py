"""The report as one HTML page: no script, nothing loaded, light and dark."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from . import plot, summary
from .evidence import Evidence
from .model import Study

_NUMERIC = (
    "Words",
    "Lines",
    "Links",
    "Broken",
    "Minutes",
    "Runs",
    "Begun",
    "Cut off",
    "Began again",
)

_STYLE = """
:root{color-scheme:light dark;--ground:#f6f7f9;--sheet:#fff;--ink:#1c2127;--soft:#5d6672;
--rule:#e2e6eb;--good:#0e7a56;--good-ground:#e3f5ee;--bad:#b4232f;--bad-ground:#fdeaec}
@media(prefers-color-scheme:dark){:root{--ground:#101317;--sheet:#181c22;--ink:#e7eaee;
--soft:#98a2b0;--rule:#2a3038;--good:#45d3a4;--good-ground:#10291f;--bad:#ff7a84;
--bad-ground:#331418}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 20px 80px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 4px;letter-spacing:-.02em}
h2{font-size:1.2rem;margin:0 0 14px}
p{margin:0 0 14px}.soft,.lead{color:var(--soft)}.lead{overflow-wrap:anywhere;margin-bottom:24px}
section{background:var(--sheet);border:1px solid var(--rule);border-radius:12px;padding:24px;
margin-top:20px}
.verdict{border-color:transparent;background:var(--good-ground);color:var(--good);
font-size:1.25rem;font-weight:650;padding:18px 24px}
.verdict.bad{background:var(--bad-ground);color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(125px,1fr));gap:12px;
margin:20px 0 0;padding:0;list-style:none}
.tiles li{background:var(--sheet);border:1px solid var(--rule);border-radius:12px;padding:14px 16px;
color:var(--soft);font-size:.85rem;line-height:1.3}
.tiles b{display:block;color:var(--ink);font-size:1.6rem;font-weight:650;letter-spacing:-.02em;
line-height:1.2;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th{color:var(--soft);font-weight:600;text-align:left;white-space:nowrap}
th,td{padding:7px 14px 7px 0;border-bottom:1px solid var(--rule);vertical-align:top}
tr:last-child td{border-bottom:0}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td:first-child{overflow-wrap:anywhere;min-width:9em}
.mark{min-width:0!important;width:1.6em;font-weight:700;color:var(--good)}
.broken,.broken .mark{color:var(--bad)}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;list-style:none;margin:0 0 12px;padding:0;
color:var(--soft);font-size:.85rem}
svg.plot{display:block;width:100%;height:auto}
.scroll svg.plot{min-width:640px}
.legend svg.plot{display:inline-block;width:12px;height:12px;vertical-align:-1px;margin-right:6px}
code{font:.88em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
"""


def render(study: Study, evidence: Evidence | None, *, words: str, timeline: str | None) -> str:
    """Render the report.

    Args:
        study: What was found out.
        evidence: What happened on the way; None before the run is over.
        words: The plot of words, an `<svg>`.
        timeline: The plot of the run, an `<svg>`.
    """
    body = [
        f"<h1>Study of {escape(study.folder.name or str(study.folder))}</h1>",
        f'<p class="lead">{escape(summary.totals(study))}. {escape(summary.approval(study))}</p>',
    ]
    if evidence is not None:
        body += _run(study, evidence, timeline or "")
    body.append(_section("The longest files, in words", f'<div class="scroll">{words}</div>'))
    rows = map(summary.file_row, study.pages)
    body.append(_section("All files", table(summary.COLUMNS, rows)))
    broken = summary.broken_links(study)
    if broken:
        body.append(_section("Links that lead nowhere", table(("File", "Link"), broken)))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>durable-demo: {escape(study.folder.name)}</title><style>{_STYLE}</style></head>"
        f"<body><main>\n{chr(10).join(body)}\n</main></body></html>\n"
    )


def _run(study: Study, evidence: Evidence, timeline: str) -> Iterator[str]:
    bad = "" if evidence.kept else " bad"
    yield f'<section class="verdict{bad}">{escape(summary.headline(evidence))}</section>'
    tiles = summary.tiles(study, evidence)
    items = (f"<li><b>{escape(number)}</b>{escape(what)}</li>" for number, what in tiles)
    yield f'<ul class="tiles">{"".join(items)}</ul>'
    story = f'<p class="soft">{escape(summary.story(evidence))}</p>'
    plotted = f'<div class="scroll">{timeline}</div>'
    yield _section("Every step over time", story + _legend(evidence) + plotted)
    yield _section("Promises", _promises(evidence))
    if evidence.kill is not None:
        again = table(summary.AGAIN_COLUMNS, summary.again_rows(evidence))
        note = (
            '<p class="soft">Delivery is at least once: a step that was cut off runs again, '
            "so its effects have to bear being repeated. Its result is recorded once.</p>"
        )
        yield _section("Steps that were cut off and ran again", note + again)
        held = f"The dead worker held {len(evidence.taken)} executions: {summary.held(evidence)}."
        rows = list(summary.taken_rows(evidence))
        others = table(("Task", "File", "The kill found it", "Ended as"), rows) if rows else ""
        yield _section("Everything that was recovered", f"<p>{escape(held)}</p>{others}")
    yield _section(
        "Run it again",
        f"<p><code>{escape(evidence.command)}</code></p>"
        f'<p class="soft">Everything is kept in <code>{escape(evidence.storage)}</code></p>',
    )


def _promises(evidence: Evidence) -> str:
    rows = (
        f'<tr class="{kind}"><td class="mark">{mark}</td><td>{escape(check.claim)}</td>'
        f'<td class="soft">{escape(check.seen)}</td></tr>'
        for check in evidence.checks
        for kind, mark in [("kept", "&#10003;") if check.kept else ("broken", "&#10007;")]
    )
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _legend(evidence: Evidence) -> str:
    hidden = {"cut", "again"} if evidence.kill is None else set[str]()
    items = (
        f'<li><svg class="plot" viewBox="0 0 12 12" aria-hidden="true"><rect class="{kind}" '
        f'width="12" height="12" rx="3"/></svg>{escape(meaning)}</li>'
        for kind, meaning in plot.LEGEND
        if kind not in hidden
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are plain text and are escaped."""
    body = "".join(_row("td", head, row) for row in rows)
    return (
        f'<div class="scroll"><table><thead>{_row("th", head, head)}</thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(cell: str, head: Sequence[str], values: Sequence[str]) -> str:
    cells = (
        f"<{cell}{kind}>{escape(value)}</{cell}>"
        for name, value in zip(head, values, strict=True)
        for kind in [' class="n"' if name in _NUMERIC else ""]
    )
    return f"<tr>{''.join(cells)}</tr>"
