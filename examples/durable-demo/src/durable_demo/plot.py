"""Plots as plain SVG: no library, no script, readable on light and dark ground."""

from collections.abc import Callable, Iterable, Sequence
from html import escape

from .diary import Ending, Run
from .evidence import Evidence, Kill

WIDTH = 960
_LANE = 15
_GAP = 3
_TOP = 34
_BOTTOM = 26
_SECOND = 1_000_000_000
_MOST_TICKS = 12
_NARROW = 1.5

STYLE = """
.plot{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;--text:#3c4149;--rule:#d9dde3;
--done:#8fb3d9;--failed:#e3a008;--stopped:#8b5cf6;--cut:#d92d3a;--again:#12946c}
.plot text{fill:var(--text)}.plot .number{font-variant-numeric:tabular-nums}
.plot .rule{stroke:var(--rule)}.plot .kill{stroke:var(--cut);stroke-width:2}
.plot .back{stroke:var(--again);stroke-width:2;stroke-dasharray:3 3}
.plot .kill-text{fill:var(--cut);font-weight:600}.plot .back-text{fill:var(--again);font-weight:600}
.plot .gap{fill:var(--cut);opacity:.08}
.plot .done{fill:var(--done)}.plot .failed{fill:var(--failed)}.plot .stopped{fill:var(--stopped)}
.plot .cut{fill:var(--cut)}.plot .again{fill:var(--again)}.plot .bar{fill:var(--done)}
@media(prefers-color-scheme:dark){.plot{--text:#c3c9d2;--rule:#343a43;--done:#3f6591;
--failed:#d9a514;--stopped:#a684ff;--cut:#ff5c67;--again:#2cc295}}
"""

LEGEND = (
    ("done", "ran and was recorded"),
    ("failed", "failed, then retried"),
    ("stopped", "timed out"),
    ("cut", "cut off by the kill"),
    ("again", "ran again"),
)
"""CSS class and meaning of the timeline's bars."""


def timeline(evidence: Evidence) -> str:
    """Draw every run of every step over time, the kill and what ran again; an `<svg>`."""
    lanes = _lanes(evidence)
    end = max([evidence.ended, *(run.ended or 0 for run in evidence.runs)])
    span = max(end - evidence.began, 1)

    def x(at: int) -> float:
        return (at - evidence.began) / span * WIDTH

    bottom = _TOP + len(lanes) * (_LANE + _GAP)
    again = {run.number for one in evidence.again for run in one.again}
    cut = {one.cut.number for one in evidence.again}
    parts = [*_ticks(span / _SECOND, bottom)]
    if evidence.kill is not None:
        parts += _kill(evidence.kill, x(evidence.kill.at), _back(evidence, x), bottom)
    for number, lane in enumerate(lanes):
        y = _TOP + number * (_LANE + _GAP)
        for run in lane:
            kind = _kind(run, cut, again)
            left, right = x(run.started), x(_end(run, evidence))
            parts.append(
                f'<rect class="{kind}" x="{left:.1f}" y="{y}" rx="2" '
                f'width="{max(right - left - 1, _NARROW):.1f}" height="{_LANE}">'
                f"<title>{escape(_title(run, kind, evidence))}</title></rect>"
            )
    what = f"{len(evidence.runs)} runs of steps over {span / _SECOND:.1f} seconds"
    return _svg(parts, bottom + _BOTTOM, what)


def bars(rows: Sequence[tuple[str, int]], what: str) -> str:
    """Draw horizontal bars; an `<svg>`.

    Args:
        rows: Label and value, from top to bottom.
        what: Says what is drawn, to those who cannot see it.
    """
    most = max([value for _, value in rows], default=0) or 1
    left, right = 330, WIDTH - 70
    parts: list[str] = []
    for number, (label, value) in enumerate(rows):
        y = number * (_LANE + _GAP + 4)
        width = max(value / most * (right - left), _NARROW)
        parts.append(
            f'<text x="{left - 10}" y="{y + 12}" text-anchor="end">{escape(_short(label))}</text>'
            f'<rect class="bar" x="{left}" y="{y}" rx="2" width="{width:.1f}" height="{_LANE}">'
            f"<title>{escape(label)}: {value:,}</title></rect>"
            f'<text class="number" x="{left + width + 8:.1f}" y="{y + 12}">{value:,}</text>'
        )
    return _svg(parts, len(rows) * (_LANE + _GAP + 4), what)


def _svg(parts: Iterable[str], height: float, what: str) -> str:
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" aria-label="{escape(what)}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>"
    )


def _end(run: Run, evidence: Evidence) -> int:
    if run.ended is not None:
        return run.ended
    return evidence.kill.at if evidence.kill is not None else evidence.ended


def _lanes(evidence: Evidence) -> list[list[Run]]:
    """Give each run the first lane that is free when it starts."""
    lanes: list[list[Run]] = []
    for run in sorted(evidence.runs, key=lambda run: run.started):
        free = (lane for lane in lanes if _end(lane[-1], evidence) <= run.started)
        lane = next(free, None)
        if lane is None:
            lanes.append([run])
        else:
            lane.append(run)
    return lanes


def _kind(run: Run, cut: set[str], again: set[str]) -> str:
    if run.number in cut or run.ending is Ending.CUT_OFF:
        return "cut"
    if run.ending is Ending.FAILED:
        return "failed"
    if run.ending is Ending.STOPPED:
        return "stopped"
    return "again" if run.number in again else "done"


def _title(run: Run, kind: str, evidence: Evidence) -> str:
    seconds = (_end(run, evidence) - run.started) / _SECOND
    meaning = dict(LEGEND)[kind]
    what = f"{run.step} {run.subject}".strip()
    text = f"{what}: {meaning} (worker {run.worker}, attempt {run.attempt}, {seconds:.2f} s)"
    return f"{text}: {run.error}" if run.error else text


def _back(evidence: Evidence, x: Callable[[int], float]) -> float | None:
    """Return where the first step that was cut off begins again."""
    starts = [one.again[0].started for one in evidence.again if one.again]
    return x(min(starts)) if starts else None


def _kill(kill: Kill, at: float, back: float | None, bottom: float) -> list[str]:
    parts = [
        f'<line class="kill" x1="{at:.1f}" x2="{at:.1f}" y1="4" y2="{bottom}"/>',
        _label("kill-text", at - 6, "end", f"kill -9 {kill.pid}"),
    ]
    if back is not None:
        width = f'x="{at:.1f}" y="{_TOP - 6}" width="{back - at:.1f}" height="{bottom - _TOP + 6}"'
        parts += [
            f'<rect class="gap" {width}/>',
            f'<line class="back" x1="{back:.1f}" x2="{back:.1f}" y1="4" y2="{bottom}"/>',
            _label("back-text", back + 6, "start", "the lease is over: cut-off steps run again"),
        ]
    return parts


def _label(kind: str, x: float, anchor: str, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="16" text-anchor="{anchor}">{escape(text)}</text>'


def _ticks(seconds: float, bottom: float) -> list[str]:
    step = next(step for step in (1, 2, 5, 10, 30, 60, 600, 1e9) if seconds / step < _MOST_TICKS)
    parts: list[str] = []
    for number in range(int(seconds // step) + 1):
        x = number * step / seconds * WIDTH
        anchor = "start" if number == 0 else "end" if x > WIDTH - 12 else "middle"
        parts.append(
            f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{bottom}"/>'
            f'<text class="number" x="{x:.1f}" y="{bottom + 16}" text-anchor="{anchor}">'
            f"{number * step:g} s</text>"
        )
    return parts


def _short(label: str, most: int = 46) -> str:
    return label if len(label) <= most else f"\u2026{label[1 - most :]}"
