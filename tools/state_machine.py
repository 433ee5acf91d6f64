"""Draw the state machine of an execution from the code's own table.

python tools/state_machine.py            rewrites the drawn part of the document
python tools/state_machine.py --check    fails if it does not say what the table says
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from durable_core.storage import FINISHED, RULES, UNFINISHED, WAITING, Event, Phase, Rule

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/explanation/state-machine.md"
BEGIN = "<!-- drawn by tools/state_machine.py: begin -->\n"
END = "<!-- drawn by tools/state_machine.py: end -->\n"

_GROUPS = {
    frozenset(Phase): "any phase",
    UNFINISHED: "any unfinished phase",
    FINISHED: "any finished phase",
    WAITING: "any waiting phase",
}
_HELD = {None: "", True: ", held", False: ", un-held"}
_NODES = """\
flowchart LR
    new((new))
    gone((purged))
    running(["running"])
    duty(["doing its duty"])
    subgraph free ["unfinished, held by nobody"]
        ready
        sleeping
        subgraph waiting
            waiting_for_children
            waiting_for_finalize
        end
    end
    subgraph finished
        completed
        failed
        timed_out
        finalize_failed
        cancelled
    end
"""


def diagram() -> str:
    """Return all rules that move a row as one Mermaid flowchart, an arrow per pair of places."""
    labels: dict[tuple[str, str], dict[Event, None]] = {}
    for rule in RULES:
        for source, target in _arrows(rule):
            if source != target:
                labels.setdefault((source, target), {})[rule.event] = None
    lines = [
        f'    {source} -- "{", ".join(events)}" --> {target}\n'
        for (source, target), events in labels.items()
    ]
    return "".join(["```mermaid\n", _NODES, *lines, "```\n"])


def _arrows(rule: Rule) -> Iterator[tuple[str, str]]:
    """Yield from where to where a rule leads."""
    if not rule.sources:
        for target in _places(rule.targets, held=rule.held_after):
            yield "new", target
    for held in (True, False) if rule.held is None else (rule.held,):
        held_after = held if rule.held_after is None else rule.held_after
        for phases in (rule.sources & UNFINISHED, rule.sources & FINISHED):
            after = phases if rule.targets is None else rule.targets
            for source in _places(phases, held=held):
                for target in _places(after, held=held_after) or ["gone"]:
                    yield source, target


def _places(phases: frozenset[Phase] | None, *, held: bool | None) -> list[str]:
    """Return the nodes, or the one group of nodes, that stand for these phases."""
    if not phases:
        return []
    if held:
        return ["running" if phases <= UNFINISHED else "duty"]
    for group, name in ((UNFINISHED, "free"), (WAITING, "waiting"), (FINISHED, "finished")):
        if phases == group:
            return [name]
    return [phase.value for phase in Phase if phase in phases]


def table() -> str:
    """Return all rules as one Markdown table."""
    lines = ["| event | from | if | to | and |", "| --- | --- | --- | --- | --- |"]
    for rule in RULES:
        cells = (rule.event, _source(rule), rule.guard, _target(rule), rule.effect)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _source(rule: Rule) -> str:
    return _phases(rule.sources) + _HELD[rule.held] if rule.sources else "nothing"


def _target(rule: Rule) -> str:
    if rule.targets is None:
        return "the same" + _HELD[rule.held_after]
    return _phases(rule.targets) + _HELD[rule.held_after] if rule.targets else "nothing"


def _phases(phases: frozenset[Phase]) -> str:
    return _GROUPS.get(phases) or " or ".join(f"`{phase}`" for phase in Phase if phase in phases)


def drawn() -> str:
    """Return the part of the document that is drawn."""
    return f"{BEGIN}\n{diagram()}\n{table()}\n{END}"


def redrawn(document: str) -> str:
    """Return the document with its drawn part as it should be.

    Raises:
        ValueError: One of the two marks is missing.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = f"{DOCUMENT.name} has not both marks: {BEGIN.strip()} … {END.strip()}"
        raise ValueError(msg)
    return before + drawn() + after


def main(arguments: list[str]) -> int:
    """Rewrite or check the document; return the exit code."""
    document = DOCUMENT.read_text(encoding="utf-8")
    right = redrawn(document)
    if arguments == ["--check"]:
        if document != right:
            print(f"{DOCUMENT.name} differs from RULES: run python tools/state_machine.py")
        return int(document != right)
    DOCUMENT.write_text(right, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
