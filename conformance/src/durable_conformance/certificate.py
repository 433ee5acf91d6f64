"""The certificate: a verdict as JSON, and as a page for people."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Final

from durable_core.storage import PROTOCOL_VERSION

from .promises import AREAS, PROMISES
from .settings import Settings
from .verdict import Evidence, Status, Verdict

FORMAT: Final = "durable-certificate/1"

_ABILITIES: Final = {"push": ("push", "HINT"), "transactional": ("bind", "BIND")}
"""Ability -> the capability that declares it, and the area that proves it."""


def certificate(
    verdict: Verdict, evidence: Evidence, settings: Settings, *, target: str | None = None
) -> dict[str, Any]:
    """Return everything that a run found out about one class, ready for JSON.

    Args:
        verdict: The verdict.
        evidence: What it was made from.
        settings: How the run was set.
        target: The name by which the storage is known; the class's by default.
    """
    declared = evidence.capabilities[0] if len(evidence.capabilities) == 1 else {}
    return {
        "format": FORMAT,
        "target": target or verdict.name,
        "class": verdict.name,
        "certified": verdict.certified,
        "level": verdict.level,
        "reasons": verdict.reasons,
        "storage": evidence.storage,
        "versions": {**_versions(), **evidence.versions},
        "protocol": PROTOCOL_VERSION,
        "durability": declared.get("durability", ""),
        "capabilities": declared,
        "abilities": {name: _able(verdict, declared, name) for name in _ABILITIES},
        "promises": dict(verdict.promises),
        "checks": {
            name: {"status": outcome.status, "reason": outcome.reason}
            for name, outcome in verdict.checks.items()
        },
        "seed": settings.seed,
        "rows": settings.rows,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _versions() -> dict[str, str]:
    names = ("durable-conformance", "durable-core", "pytest")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def _able(verdict: Verdict, declared: Mapping[str, Any], ability: str) -> bool:
    capability, area = _ABILITIES[ability]
    if not verdict.certified or declared.get(capability) is not True:
        return False
    proven = {Status.PASSED, Status.NOT_DECLARED}
    return all(verdict.promises[promise.id] in proven for promise in AREAS[area])


def to_json(one: Mapping[str, Any]) -> str:
    """Return a certificate as indented JSON."""
    return json.dumps(one, indent=2) + "\n"


def main_class(names: Sequence[str], target: str | None) -> str:
    """Return the class whose certificate carries the target's own name.

    Args:
        names: The classes of a run, at least one.
        target: `TestFoo` is the main class of ``foo``; without it the first one is.
    """
    wanted = f"test{target}".lower()
    return next((name for name in names if name.lower() == wanted), names[0])


def page(one: Mapping[str, Any]) -> str:
    """Return a certificate as Markdown.

    Args:
        one: A certificate, as read from its JSON.
    """
    promises: Mapping[str, str] = one["promises"]
    verdict = f"**Certified at level {one['level']}**" if one["certified"] else "**Not certified**"
    lines = [f"# {one['target']}", "", f"{verdict}, {one['date']}.", ""]
    if one["reasons"]:
        lines += [*(f"- {reason}" for reason in one["reasons"]), ""]
    lines += [
        f"- Storage: `{one['storage'] or 'unknown'}`",
        f"- Durability: {one['durability'] or 'not said'}",
        f"- Protocol: {one['protocol']}",
        f"- Versions: {', '.join(f'{name} {text}' for name, text in one['versions'].items())}",
        f"- Seed {one['seed']}, {one['rows']} rows in the crowded queues",
        "",
        "| ability | |",
        "|---|---|",
        *(f"| {name} | {_yes(able)} |" for name, able in one["abilities"].items()),
        "",
        "| capability | declared |",
        "|---|---|",
        *(
            f"| {name} | {_yes(value)} |"
            for name, value in one["capabilities"].items()
            if name != "durability"
        ),
        "",
        "| promise | | |",
        "|---|---|---|",
        *(
            f"| {id_} | {_shown(status)} | {PROMISES[id_].text if id_ in PROMISES else ''} |"
            for id_, status in promises.items()
        ),
        "",
    ]
    return "\n".join(lines)


def _shown(status: str) -> str:
    return f"**{status}**" if status == Status.FAILED else status


def _yes(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
