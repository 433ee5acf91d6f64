"""What was sent, and what the server does to carry it out."""

import copy
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

_OF_THE_DRIVER = {
    "lsid", "$clusterTime", "txnNumber", "autocommit", "startTransaction", "$db", "readConcern",
    "writeConcern", "maxTimeMS", "$readPreference",
}  # fmt: skip


class Recorder(CommandListener):
    """Keeps the commands that a client sends.

    Attributes:
        commands: In the order of sending.
    """

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        """Keep a command."""
        self.commands.append(copy.deepcopy(dict(event.command)))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to keep."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to keep."""

    def of(self, collection: str) -> list[dict[str, Any]]:
        """Return the commands about a collection."""
        return [one for one in self.commands if next(iter(one.values())) == collection]

    @property
    def names(self) -> list[str]:
        """The names of the commands."""
        return [next(iter(one)) for one in self.commands]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan that was carried out, but for its writes.

    Attributes:
        indexes: By which indexes documents were found.
        scans: Whether a whole collection was read.
        sorts: Whether documents were sorted in memory.
        keys: How many index keys were looked at.
        docs: How many documents were looked at.
    """

    indexes: set[str]
    scans: bool
    sorts: bool
    keys: int
    docs: int


async def explain(database: Any, command: Mapping[str, Any]) -> Plan:
    """Return what the server does for a command; of several updates, for the first."""
    bare = {name: value for name, value in command.items() if name not in _OF_THE_DRIVER}
    for several in ("updates", "deletes"):
        if several in bare:
            bare[several] = bare[several][:1]
    if "aggregate" in bare:
        bare["cursor"] = {}
    said = await database.command({"explain": bare, "verbosity": "executionStats"})
    every = list(_walk(said))
    stages = {one["stage"] for one in every if isinstance(one.get("stage"), str)}
    stats = next(one for one in every if "totalKeysExamined" in one)
    return Plan(
        indexes={one["indexName"] for one in every if "indexName" in one}
        | {"_id_" for _ in (stages & {"IDHACK"})},
        scans="COLLSCAN" in stages,
        sorts="SORT" in stages,
        keys=stats["totalKeysExamined"],
        docs=stats["totalDocsExamined"],
    )


def _walk(node: object) -> Generator[dict[str, Any]]:
    if isinstance(node, dict):
        # What was sent comes back, too, and the plans that were not taken.
        parts = cast("dict[str, Any]", node)
        yield parts
        for name, value in parts.items():
            if name not in {"command", "rejectedPlans", "parsedQuery"}:
                yield from _walk(value)
    elif isinstance(node, list):
        for value in cast("list[object]", node):
            yield from _walk(value)
