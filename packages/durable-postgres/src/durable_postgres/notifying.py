"""Hints for other processes: sent after the commit, many in one statement, none if nobody hears."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from .connections import driver_of, give_back
from .session import Told
from .settings import Settings
from .statistics import Tally

NOTIFY: Final = "SELECT pg_notify($1, p) FROM unnest($2::text[]) AS p"

NOTIFY_OTHERS: Final = (
    "WITH o AS MATERIALIZED (SELECT count(*) AS n FROM pg_catalog.pg_locks l "
    "WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted "
    "AND l.classid = $3::int8::oid AND l.objid = $4::int8::oid AND l.pid IS DISTINCT FROM $5::int4 "
    "AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())) "
    "SELECT n, CASE WHEN n > 0 THEN (SELECT count(pg_notify($1, p)) "
    "FROM unnest($2::text[]) AS p) END, set_config('synchronous_commit', 'off', true) FROM o"
)
"""Notifies if anybody else listens, and answers how many do.

Where nobody does it writes nothing: a notification costs a commit, and commits with notifications
wait for each other. This one does not wait for the disk: what it tells of is there already. $3 and
$4 are the halves of the listeners' lock, $5 is our own listener.
"""

HELLO: Final = "SELECT pg_advisory_lock_shared($1), pg_backend_pid() AS pid"
"""Marks a connection as one that listens, until it ends; it listens already."""

_PER_ROW: Final = 0.000_2
_LONGEST_PAUSE: Final = 0.05
"""A busy writer's hints wait so many seconds per changed row, and so many at most."""

_HELLO: Final = "+"
"""Begins what a new listener sends instead of a hint."""


def payloads(told: Told, sender: str) -> list[str]:
    """Return what to send: the sender, and a queue; without one, that something finished."""
    queues = [f"{sender} {queue}" for queue in sorted(told.ready)]
    return [*queues, sender] if told.finished else queues


class Notifier:
    """Sends hints: one statement at a time, what comes meanwhile goes with the next.

    A process that listens itself, and was told by the server that nobody else does, sends nothing
    until somebody says hello: a new listener does so after it is marked, so that whoever missed the
    mark hears of it, and then sends what was kept back.

    Args:
        engine: Whose pool is used.
        settings: Names the channel.
        tally: Where statements are counted.

    Attributes:
        sender: Begins every payload of this storage.
        listener: The server's process of our own listening connection; None while there is none.
    """

    def __init__(self, engine: AsyncEngine, settings: Settings, tally: Tally) -> None:
        self.sender = secrets.token_hex(8)
        self.listener: int | None = None
        self._engine = engine
        self._channel = settings.channel
        self._mark = settings.listeners
        self._tally = tally
        self._alone = False
        self._hellos = 0
        self._waiting = Told()
        self._kept = Told()
        self._task: asyncio.Task[None] | None = None

    def send(self, told: Told) -> None:
        """Send soon."""
        if self._alone:
            self._kept.add(told)
            return
        self._waiting.add(told)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def begin(self, fetch: Callable[..., Any]) -> None:
        """Say hello to those who listen already.

        Args:
            fetch: Of the connection that listens from now on.
        """
        self._tally.statements += 2
        self._tally.commits += 1
        (row,) = await fetch(HELLO, self._mark)
        await fetch(NOTIFY, self._channel, [_HELLO + self.sender])
        self.listener = row["pid"]

    def end(self) -> None:
        """The connection that listened is gone: hellos are not heard any more."""
        self.listener = None
        self._not_alone()

    def heard(self, payload: str) -> str | None:
        """Take note of a hello; return the hint of others, None if it is none of theirs."""
        if payload.startswith(_HELLO):
            if payload != _HELLO + self.sender:
                self._hellos += 1
                self._not_alone()
            return None
        return None if payload.partition(" ")[0] == self.sender else payload

    def _not_alone(self) -> None:
        self._alone = False
        if self._kept.any:
            kept, self._kept = self._kept, Told()
            self.send(kept)

    async def _run(self) -> None:
        try:
            while self._waiting.any:
                told, self._waiting = self._waiting, Told()
                listener, hellos = self.listener, self._hellos
                # A hint that cannot be sent is lost, as hints may be.
                with suppress(Exception):
                    others = await self._notify(payloads(told, self.sender))
                    if not others and listener is not None:
                        if (self.listener, self._hellos) != (listener, hellos):
                            # Somebody has come since the server looked.
                            self._waiting.add(told)
                        else:
                            self._alone = True
                            self._kept.add(told)
                            self._kept.add(self._waiting)
                            self._waiting = Told()
                            return
                await asyncio.sleep(min(told.rows * _PER_ROW, _LONGEST_PAUSE))
        finally:
            self._task = None

    async def _notify(self, texts: list[str]) -> int:
        """Send hints; return how many others listen."""
        high, low = self._mark >> 32 & 0xFFFFFFFF, self._mark & 0xFFFFFFFF
        pooled = await self._engine.raw_connection()
        try:
            self._tally.statements += 1
            (row,) = await driver_of(pooled).fetch(
                NOTIFY_OTHERS, self._channel, texts, high, low, self.listener
            )
            others: int = row["n"]
            self._tally.commits += bool(others)
        except BaseException:
            pooled.invalidate()
            raise
        finally:
            await give_back(pooled)
        return others

    async def close(self) -> None:
        """Send what waits. Idempotent."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
