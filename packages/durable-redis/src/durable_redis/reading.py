"""Reads: by id, by query, checkpoints."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from durable_core.storage import (
    UNFINISHED_STATUSES,
    Checkpoint,
    CountBy,
    Head,
    InvalidArgumentError,
    Page,
    Query,
)

from .batches import batches
from .database import Database
from .records import Reader, checkpoint
from .scripts import GET, PAGE, POINTS

_LOOK_AT: Final = 200
"""Rows that one script looks at."""

_LOOK_AT_LEAST: Final = 50

_SCRIPTS: Final = 50
"""Scripts that one `find` runs at most: then the page is short, and the cursor goes on."""

_DESCENDANTS: Final = b"t:r:"

_HEADER: Final = Struct("<BBH")
_SCORE: Final = Struct("<Bd")
_POINTS: Final = Struct("<BH")


async def get_all(database: Database, ids: Sequence[str], *, payload: bool) -> list[Head | None]:
    """Read executions in the order of their ids."""
    what = b"record" if payload else b"head"
    names = [id_.encode(errors="backslashreplace") for id_ in ids]
    replies = await database.run(GET, [[what, *chunk] for chunk in batches(names)])
    found: list[Head | None] = []
    for reply in replies:
        reader = Reader(reply)
        while not reader.ended:
            found.append(reader.row(payload=payload) if reader.byte() else None)
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a walk through an index has got to.

    Attributes:
        source: Which index it is.
        score: Of the last row that was looked at.
        member: Its id.
    """

    source: int
    score: int
    member: str

    @property
    def order(self) -> tuple[int, str]:
        """By what places of one index are ordered."""
        return self.score, self.member

    def __str__(self) -> str:
        """Return the cursor."""
        return f"{self.source} {self.score} {self.member}"

    @classmethod
    def parse(cls, cursor: str) -> "_Place":
        """Return the place of a cursor."""
        parts = cursor.split(" ", 2)
        try:
            return cls(int(parts[0]), int(parts[1]), parts[2])
        except (ValueError, IndexError):
            msg = f"not a cursor of this storage: {cursor!r}"
            raise InvalidArgumentError(msg) from None


class _Looked(NamedTuple):
    """What one script looked at.

    Attributes:
        rows: In the index's order, with their places; None for a row that is gone.
        ended: Whether the index has no more rows.
    """

    rows: Sequence[tuple[_Place, Head | None]]
    ended: bool


class _Walk:
    """A walk through the smallest index that holds everything a query asks for."""

    def __init__(self, database: Database, query: Query) -> None:
        self._database = database
        self._root = query.root_id
        self._sources = _sources(query)
        least = query.created_from if query.parent_id is None else None
        self._least = b"" if least is None else b"%d" % least

    async def look(self, after: _Place | None, size: int = _LOOK_AT) -> _Looked:
        """Look at so many rows after a place."""
        where = (b"", b"", b"")
        if after is not None:
            if not 0 <= after.source < len(self._sources):
                msg = f"not a cursor of this query: '{after}'"
                raise InvalidArgumentError(msg)
            where = (b"%d" % after.source, b"%d" % after.score, after.member.encode())
        reply = await self._database.one(PAGE, b"%d" % size, *where, self._least, *self._sources)
        reader = Reader(reply)
        source: int
        source, ended, count = reader.numbers(_HEADER)
        rows: list[tuple[_Place, Head | None]] = []
        for _ in range(count):
            there, score = reader.numbers(_SCORE)
            place = _Place(source, int(score), reader.short())
            rows.append((place, reader.head() if there else None))
        looked = _Looked(rows, bool(ended))
        if self._root is not None and self._sources[source].startswith(_DESCENDANTS):
            return await self._with_root(looked, after, source, size)
        return looked

    async def _with_root(
        self, looked: _Looked, after: _Place | None, source: int, size: int
    ) -> _Looked:
        """Put the root in its place: the index has only its descendants."""
        (root,) = await get_all(self._database, [str(self._root)], payload=False)
        if root is None or root.root_id != root.id:
            return looked
        place = _Place(source, root.created_at, root.id)
        behind = after is None or place.order > after.order
        before = looked.ended or place.order < looked.rows[-1][0].order
        if not (behind and before):
            return looked
        rows = sorted((*looked.rows, (place, root)), key=lambda row: row[0].order)
        return _Looked(rows[:size], looked.ended and len(rows) <= size)


def _sources(query: Query) -> list[bytes]:
    """Return the indexes each of which holds everything that a query asks for."""
    if query.parent_id is not None:
        # The only one in the order of the children.
        return [b"k:" + _name(query.parent_id)]
    sources = [b"t:t:" + _name(tag) for tag in sorted(query.tags)]
    if query.owner is not None:
        sources.append(b"h:" + _name(query.owner))
    if query.root_id is not None:
        sources.append(_DESCENDANTS + _name(query.root_id))
    if query.statuses is not None and query.statuses <= UNFINISHED_STATUSES:
        sources.append(b"u")
    return sources or [b"c"]


def _name(value: str) -> bytes:
    return value.encode(errors="backslashreplace")


def _matches(row: Head, query: Query) -> bool:
    return (
        (query.statuses is None or row.status in query.statuses)
        and (query.tasks is None or row.task in query.tasks)
        and (query.queue is None or row.queue == query.queue)
        and (query.group is None or row.group == query.group)
        and (query.parent_id is None or row.parent_id == query.parent_id)
        and (query.root_id is None or row.root_id == query.root_id)
        and (query.owner is None or row.owner == query.owner)
        and query.tags <= row.tags
        and _within(row.created_at, query.created_from, query.created_before)
        and _within(row.finished_at, query.finished_from, query.finished_before)
        and (query.id_prefix is None or row.id.startswith(query.id_prefix))
    )


def _within(time: int | None, start: int | None, end: int | None) -> bool:
    if start is None and end is None:
        return True
    if time is None:
        return False
    return (start is None or time >= start) and (end is None or time < end)


async def find_page(
    database: Database, query: Query, limit: int, cursor: str | None, *, payload: bool
) -> Page[Head]:
    """Return one page of matching executions, continued after the cursor's place."""
    place = None if cursor is None else _Place.parse(cursor)
    if limit <= 0:
        return Page(items=[], cursor=cursor)
    items, place = await _collect(_Walk(database, query), query, limit, place)
    if payload:
        rows = await get_all(database, [item.id for item in items], payload=True)
        items = [row for row in rows if row is not None and _matches(row, query)]
    return Page(items=items, cursor=None if place is None else str(place))


async def _collect(
    walk: _Walk, query: Query, limit: int, place: _Place | None
) -> tuple[list[Head], _Place | None]:
    """Return matching rows after a place, and where to go on; None at the end."""
    items: list[Head] = []
    for _ in range(_SCRIPTS):
        size = min(_LOOK_AT, max(limit - len(items), _LOOK_AT_LEAST))
        looked = await walk.look(place, size)
        for number, (here, row) in enumerate(looked.rows, 1):
            place = here
            if _past(here, query):
                return items, None
            if row is not None and _matches(row, query):
                items.append(row)
            if len(items) >= limit:
                ended = looked.ended and number == len(looked.rows)
                return items, None if ended else place
        if looked.ended:
            return items, None
    return items, place


def _past(place: _Place, query: Query) -> bool:
    """Whether nothing that is asked for can follow."""
    if query.parent_id is not None or query.created_before is None:
        return False
    return place.score >= query.created_before


async def _heads(database: Database, query: Query) -> AsyncIterator[Head]:
    walk = _Walk(database, query)
    place: _Place | None = None
    while True:
        looked = await walk.look(place)
        for place, row in looked.rows:
            if _past(place, query):
                return
            if row is not None and _matches(row, query):
                yield row
        if looked.ended:
            return


async def count_all(
    database: Database, query: Query, by: CountBy | None, cap: int | None
) -> Mapping[str, int]:
    """Count executions, as `Storage.count` says."""
    if by is None and query == Query():
        total: int = await database.command(b"ZCARD", database.settings.prefix + b"c")
        return {"*": total if cap is None else min(total, max(cap, 0))}
    counted: Counter[str] = Counter()
    number = 0
    async for row in _heads(database, query):
        if cap is not None and number >= cap:
            break
        number += 1
        counted["*" if by is None else str(getattr(row, by.value))] += 1
    return counted if by is not None else {"*": number}


async def checkpoint_page(
    database: Database, execution_id: str, limit: int, cursor: str | None
) -> Page[Checkpoint]:
    """Return an execution's checkpoints in order of writing, after the cursor's place."""
    try:
        first = 0 if cursor is None else int(cursor)
    except ValueError:
        msg = f"not a cursor of this storage: {cursor!r}"
        raise InvalidArgumentError(msg) from None
    size = min(max(limit, 0), _LOOK_AT)
    reply = await database.one(POINTS, _name(execution_id), b"%d" % first, b"%d" % size)
    reader = Reader(reply)
    more, count = reader.numbers(_POINTS)
    items = [checkpoint(reader.longer(), reader.large()) for _ in range(count)]
    return Page(items=items, cursor=f"{first + count}" if more and items else None)
