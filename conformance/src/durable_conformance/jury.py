"""Collects what a run learns of the classes that certify, wherever in the run it happened."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from .base import StorageConformance
from .checking import NotDeclared, checks_of
from .settings import facts
from .verdict import Evidence, Status

SUITE: Final = checks_of(StorageConformance)
"""Every check that a class must have."""

CHECK: Final = "durable_check"
"""The property of a report that names the class and the check."""
LEFT_OUT: Final = "durable_left_out"
"""The property of a report whose check the suite itself left out: a status and why."""


class Jury:
    """The evidence of one process, or of all of them.

    Classes are known by the id of their node, which all processes share.
    """

    def __init__(self) -> None:
        self.evidence: dict[str, Evidence] = {}
        self._classes: dict[str, type] = {}

    def meet(self, item: pytest.Item) -> None:
        """Take note of a collected item, if it is a check of a class that certifies."""
        node = item.getparent(pytest.Class)
        if node is None or not issubclass(node.obj, StorageConformance):
            return
        if node.nodeid not in self.evidence:
            self._classes[node.nodeid] = node.obj
            self._known(node.nodeid).altered |= _altered(node.obj)
        name = getattr(item, "originalname", item.name)
        if name in SUITE:
            item.user_properties.append((CHECK, f"{node.nodeid} {name}"))

    def _known(self, class_id: str) -> Evidence:
        name = class_id.rpartition("::")[2]
        return self.evidence.setdefault(class_id, Evidence(name=name, suite=SUITE))

    def hear(self, report: pytest.TestReport) -> None:
        """Take note of what became of a check."""
        properties = dict(report.user_properties)
        about = properties.get(CHECK)
        if about is None:
            return
        class_id, _, name = str(about).rpartition(" ")
        status, reason = _meaning(report, properties.get(LEFT_OUT))
        if status is not None:
            self._known(class_id).report(name, status, reason)

    def testimony(self) -> dict[str, dict[str, Any]]:
        """Return what this process knows of the classes and their storages, as plain values."""
        return {
            class_id: {
                "altered": sorted(self.evidence[class_id].altered),
                "storage": known.storage if known else "",
                "capabilities": known.capabilities if known else [],
                "versions": dict(known.versions) if known else {},
            }
            for class_id, kind in self._classes.items()
            for known in (facts.get(kind),)
        }

    def believe(self, testimony: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what a process knows."""
        for class_id, said in testimony.items():
            evidence = self._known(class_id)
            evidence.altered |= set(said["altered"])
            evidence.storage = evidence.storage or said["storage"]
            evidence.versions |= said["versions"]
            for capabilities in said["capabilities"]:
                if capabilities not in evidence.capabilities:
                    evidence.capabilities.append(capabilities)


def left_out(error: BaseException) -> str:
    """Return the `LEFT_OUT` property for a check that the suite itself left out."""
    status = Status.NOT_DECLARED if isinstance(error, NotDeclared) else Status.NOT_RUN
    return f"{status}: {error}"


def _altered(kind: type) -> set[str]:
    """Return the checks that a class does not have as the suite wrote them."""
    return {
        name
        for name in SUITE
        if getattr(kind, name, None) is not getattr(StorageConformance, name)
    }  # fmt: skip


def _meaning(report: pytest.TestReport, left_out: object) -> tuple[Status | None, str]:
    if hasattr(report, "wasxfail"):
        return Status.FAILED, "marked xfail"
    if report.outcome == "skipped":
        if isinstance(left_out, str):
            status, _, reason = left_out.partition(": ")
            return Status(status), reason
        return Status.NOT_RUN, _skipped(report)
    if report.outcome == "passed":
        # Set-up and tear-down that went well say nothing about the check.
        return (Status.PASSED if report.when == "call" else None), ""
    return Status.FAILED, "" if report.when == "call" else f"error in {report.when}"


def _skipped(report: pytest.TestReport) -> str:
    where = report.longrepr
    reason = where[2] if isinstance(where, tuple) else str(where)
    return reason.removeprefix("Skipped: ")[:200]
