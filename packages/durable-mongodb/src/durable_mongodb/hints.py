"""Hints by a change stream: what a majority has committed, from whatever process, ours too."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from pymongo.errors import OperationFailure

from durable_core.storage import Finished, Hint, Ready, StorageError
from durable_core.storage.kit import Listeners, SharedSource, cut_off

from .drivers import CODEC, Driver
from .errors import translate
from .line import Line
from .records import Doc, queue_of
from .settings import EXECUTIONS, Settings

_WAIT: Final = 2_000
"""Milliseconds that the server waits for news before it answers that there are none."""

_FIRST_RETRY: Final = 0.05
_LONGEST_RETRY: Final = 5.0
_NOT_PERMITTED: Final = frozenset({13, 20, 40573})
"""The user may not watch, or the server cannot be watched."""

_NOT_TO_BE_RESUMED: Final = frozenset({136, 237, 280, 286})
"""The server does not know any more what happened since."""


def _news(place: str) -> list[Doc]:
    return [
        {f"{place}.ready": {"$gt": ""}},
        {f"{place}.later": {"$gt": ""}},
        {f"{place}.finished_at": {"$gte": 0}},
    ]


# A small document that changes a lot is logged as a whole: then the event is a replacement.
_PIPELINE: Final[Sequence[Mapping[str, Any]]] = (
    {
        "$match": {
            "$or": [
                {"operationType": {"$in": ["insert", "replace"]}, "$or": _news("fullDocument")},
                {"operationType": "update", "$or": _news("updateDescription.updatedFields")},
                {"operationType": "invalidate"},
            ]
        }
    },
    {
        "$project": {
            "operationType": 1,
            "queue": "$fullDocument.queue",
            "stamp": {
                "$ifNull": [
                    "$fullDocument.stamp",
                    "$updateDescription.updatedFields.stamp",
                    None,
                ]
            },
            "ready": {
                "$ifNull": [
                    "$fullDocument.ready",
                    "$fullDocument.later",
                    "$updateDescription.updatedFields.ready",
                    "$updateDescription.updatedFields.later",
                    None,
                ]
            },
            "finished": {
                "$gte": [
                    {
                        "$ifNull": [
                            "$fullDocument.finished_at",
                            "$updateDescription.updatedFields.finished_at",
                            None,
                        ]
                    },
                    0,
                ]
            },
        }
    },
)


class _Stream:
    """A change stream, read by commands: so that nothing is resumed without being told.

    Args:
        driver: Of the client.
        settings: Where the documents are.
    """

    def __init__(self, driver: Driver, settings: Settings) -> None:
        self._driver = driver
        self._database: Any = driver.database(settings.database)
        self._collection = settings.name(EXECUTIONS)
        self._session: Any = None
        self._cursor = 0

    async def open(self, after: Mapping[str, Any] | None) -> tuple[list[Doc], Mapping[str, Any]]:
        """Begin to watch.

        Args:
            after: Where to go on; from now on by default.

        Returns:
            The first events, and where to go on after them.
        """
        self._session = await self._driver.start_session()
        stage: Doc = {} if after is None else {"resumeAfter": after}
        return await self._read(
            {
                "aggregate": self._collection,
                "pipeline": [{"$changeStream": stage}, *_PIPELINE],
                "cursor": {},
                "readConcern": {"level": "majority"},
            },
            "firstBatch",
        )

    async def more(self) -> tuple[list[Doc], Mapping[str, Any]]:
        """Wait a while for the next events; the same as `open`."""
        return await self._read(
            {"getMore": self._cursor, "collection": self._collection, "maxTimeMS": _WAIT},
            "nextBatch",
        )

    async def _read(
        self, command: Mapping[str, Any], batch: str
    ) -> tuple[list[Doc], Mapping[str, Any]]:
        said: Doc = await self._database.command(
            command, codec_options=CODEC, session=self._session
        )
        cursor = said["cursor"]
        self._cursor = cursor["id"]
        events: list[Doc] = cursor[batch]
        return events, cursor["postBatchResumeToken"]

    @property
    def over(self) -> bool:
        """Whether the server has ended the stream."""
        return self._cursor == 0

    async def close(self) -> None:
        """End it, as far as the server can still be reached."""
        if self._session is None:
            return
        with suppress(Exception):
            if self._cursor:
                await self._database.command(
                    {"killCursors": self._collection, "cursors": [self._cursor]},
                    session=self._session,
                )
        with suppress(Exception):
            await self._session.end_session()


async def permitted(driver: Driver, settings: Settings) -> bool:
    """Return whether the changes may be watched."""
    stream = _Stream(driver, settings)
    try:
        await stream.open(None)
    except OperationFailure as error:
        if error.code in _NOT_PERMITTED:
            return False
        raise
    finally:
        await stream.close()
    return True


class _News:
    """What some events say."""

    def __init__(self) -> None:
        self._queues: set[str] = set()
        self._everyone = False
        self._finished = False

    def add(self, event: Mapping[str, Any]) -> None:
        """Take note of an event."""
        self._finished |= bool(event.get("finished"))
        slot = event.get("ready")
        if slot is not None:
            queue = event.get("queue") or queue_of(slot)
            if queue is None:
                self._everyone = True
            else:
                self._queues.add(queue)

    def hints(self, queues: frozenset[str], *, own: bool) -> list[Hint]:
        """Return what concerns a listener of these queues."""
        told = queues if self._everyone else self._queues & queues
        hints: list[Hint] = [Ready(queue=queue, own=own) for queue in sorted(told)]
        if self._finished:
            hints.append(Finished(own=own))
        return hints


class Hints:
    """The open listeners of one storage, and the stream that they share.

    Args:
        driver: Of the client.
        settings: Where the documents are.
        place: The database, for messages.
        calls: Knows which calls are those of this storage.
    """

    def __init__(self, driver: Driver, settings: Settings, place: str, calls: Line) -> None:
        self._driver = driver
        self._settings = settings
        self._place = place
        self._calls = calls
        self._listeners = Listeners()
        self._shared = SharedSource(self._listeners, self._follow, self._explain)

    def heard(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Tell every listener what concerns it."""
        own, others = _News(), _News()
        for event in events:
            news = own if self._calls.is_own(event.get("stamp")) else others
            news.add(event)
        for listener in self._listeners:
            hints = [
                *others.hints(listener.queues, own=False),
                *own.hints(listener.queues, own=True),
            ]
            if hints:
                listener.tell(hints)

    def reconnected(self) -> None:
        """Tell every listener that hints may have been lost."""
        self._listeners.reconnected()

    def listen(self, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Yield hints, `Reconnected` first; what is not yet taken is told once."""
        return self._shared.listen(queues)

    async def close(self) -> None:
        """End all listeners. Idempotent."""
        await self._shared.close()

    def _follow(self) -> "_Line":
        return _Line(self, self._driver, self._settings)

    def _explain(self, error: Exception) -> StorageError:
        return translate(error, self._place, write=False, doubt=False, written=False)


class _Line:
    """Reads the stream; opens it again, where it broke off, whenever it breaks."""

    def __init__(self, hints: Hints, driver: Driver, settings: Settings) -> None:
        self.begun = asyncio.Event()
        self.failure: Exception | None = None
        self._hints = hints
        self._driver = driver
        self._settings = settings
        self._after: Mapping[str, Any] | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        pause = _FIRST_RETRY
        while True:
            stream = _Stream(self._driver, self._settings)
            try:
                await self._follow(stream)
                pause = _FIRST_RETRY
            except Exception as error:  # noqa: BLE001 - told to who waits; later it is tried again
                if not self.begun.is_set():
                    self.failure = error
                    self.begun.set()
                    return
                if isinstance(error, OperationFailure) and error.code in _NOT_TO_BE_RESUMED:
                    self._after = None
            finally:
                await stream.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_RETRY)

    async def _follow(self, stream: _Stream) -> None:
        """Tell what the stream says until it ends."""
        events, self._after = await stream.open(self._after)
        if self.begun.is_set():
            self._hints.reconnected()
        self.begun.set()
        while True:
            self._hints.heard(events)
            if any(event["operationType"] == "invalidate" for event in events):
                self._after = None
                return
            if stream.over:
                return
            events, self._after = await stream.more()

    async def close(self) -> None:
        await cut_off(self._task)
