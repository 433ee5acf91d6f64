"""Freeing what nobody alive holds."""

import json

from durable_core.storage import Phase

from .leases import expire
from .rows import finish_row, read_head
from .statements import FREE, HELD_BY, OWNERS
from .writing import Writing


class Reaping:
    """One transaction's share of a reap; may be repeated until it is committed.

    Args:
        now: Decides which leases have expired.
        limit: At most so many rows.

    Attributes:
        leases: How many leases were removed.
    """

    def __init__(self, now: int, limit: int) -> None:
        self.now = now
        self.limit = limit
        self.leases = 0

    def __call__(self, writing: Writing) -> tuple[int, bool]:
        """Return how many rows were freed, and whether such rows are left.

        The leases go first, in a commit of their own: should this process die before the rows
        are freed, the next reap finds them. While the write lock is held nobody can claim, so
        what a late heartbeat finds agrees with one moment: that of the removal.
        """
        removed, living = expire(writing.leases, self.now)
        self.leases += removed
        return _free_dead(writing, living, self.now, self.limit)


def _free_dead(writing: Writing, alive: set[str], now: int, limit: int) -> tuple[int, bool]:
    """Free held rows of owners that have no lease."""
    owners = writing.cached("owners", lambda: [row[0] for row in writing.rows(OWNERS)])
    freed = 0
    for owner in owners:
        if owner in alive:
            continue
        held = writing.rows(HELD_BY, (owner, limit - freed + 1))
        more = len(held) > limit - freed
        held = held[: limit - freed]
        queues = {queue for _, queue, ends in held if not ends}
        writing.run(FREE, (json.dumps([id_ for id_, _, ends in held if not ends]),))
        writing.ready.update(queues)
        for id_, _, ends in held:
            if ends:
                _end(writing, id_, now)
        freed += len(held)
        if more:
            return freed, True
    return freed, False


def _end(writing: Writing, id: str, now: int) -> None:  # noqa: A002
    """Finish a row that somebody asked to cancel: nobody else may know its task."""
    row = read_head(writing, id)
    if row is not None:
        counted = {"gen": row.gen + 1, "crashes": row.crashes + 1}
        finish_row(writing, row, Phase.CANCELLED, "reap", now, values=counted)
