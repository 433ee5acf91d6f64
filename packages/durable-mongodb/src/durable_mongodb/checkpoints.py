"""Checkpoints: which are there, and which are to be written."""

from collections.abc import Sequence
from typing import Any

from durable_core.storage import Finish, Keep, Release, Settle, Transition
from durable_core.storage.kit import Applying, Mailboxes

from .records import Doc
from .session import Session
from .settings import CHECKPOINTS
from .working import Work


class Points:
    """Checkpoints to write, and those that are there."""

    def __init__(self, there: set[str]) -> None:
        self.docs: list[Doc] = []
        self._there = there

    @classmethod
    async def look(cls, session: Session, items: Sequence[Transition]) -> "Points":
        """Look for those that items would write."""
        ids = [
            point_id(item.id, name)
            for item in items
            if not isinstance(item, Settle)
            for name in item.checkpoints
        ]
        if not ids:
            return cls(set())
        docs = await session.find(CHECKPOINTS, {"_id": {"$in": ids}}, fields={"_id": 1})
        return cls({doc["_id"] for doc in docs})

    def add(self, item: Keep | Release | Finish, points: int, now: int) -> int:
        """Take note of an item's checkpoints, those that are new; return how many there are."""
        for name, value in item.checkpoints.items():
            if point_id(item.id, name) not in self._there:
                points += 1
                self.docs.append(point_doc(item.id, name, value, now, points))
        return points


def point_id(execution_id: str, name: str) -> str:
    """Return the id of a checkpoint."""
    return f"{execution_id}\0{name}"


def point_doc(execution_id: str, name: str, value: bytes, now: int, place: int) -> Doc:
    """Return the document of a checkpoint."""
    return {
        "_id": point_id(execution_id, name),
        "execution_id": execution_id,
        "name": name,
        "value": value,
        "created_at": now,
        "place": place,
    }


class Counting(Applying):
    """Transitions of one call, whose rows are told how many checkpoints they have.

    Args:
        work: See `Applying`.
        boxes: See `Applying`.
        parents: See `Applying`.
        sleepers: See `Applying`.
        points: Of the items.
    """

    def __init__(
        self,
        work: Work,
        boxes: Mailboxes,
        parents: dict[str, str | None],
        sleepers: set[tuple[str, str]],
        points: Points,
    ) -> None:
        super().__init__(work, boxes, parents, sleepers)
        self._work = work
        self._noted = points

    def note_checkpoints(self, item: Keep | Release | Finish) -> dict[str, Any]:
        """See `Applying.note_checkpoints`."""
        if not item.checkpoints:
            return {}
        return {"points": self._noted.add(item, self._work.points(item.id), self._work.now)}
