"""The database as one call sees it: what is sent, counted, and in or out of doubt."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

from pymongo import UpdateOne
from pymongo.errors import (
    BulkWriteError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern

from .drivers import CODEC, Driver
from .errors import DUPLICATE, UNKNOWN_COMMIT, AgainError, between_roles, labelled, undone
from .line import Line
from .records import Doc
from .settings import SCHEMA, Settings
from .statistics import Tally

_COMMITS: Final = 4
_COMMIT_PAUSE: Final = 0.05

_FIRST_PAUSE: Final = 0.004
_LONGEST_PAUSE: Final = 0.25
_GIVE_UP: Final = 30.0
"""Seconds after which a transaction that somebody is always in the way of is not begun again."""

_LOCAL: Final = ReadConcern("local")
_ACKNOWLEDGED: Final = {"w": "majority", "j": True}

T = TypeVar("T")

Filter: TypeAlias = Mapping[str, Any]
"""A condition, or a stage of a pipeline."""


class Session:
    """One call's way to the database.

    Args:
        driver: Of the client.
        settings: Where the documents are.
        tally: Where commands are counted.
        line: Where transactions queue.
        bound: A session of the caller's, in a transaction already.

    Attributes:
        doubt: Whether a command is on its way that commits what it does.
        written: Whether something of this call was committed.
    """

    def __init__(
        self,
        driver: Driver,
        settings: Settings,
        tally: Tally,
        line: Line,
        *,
        bound: Any = None,
    ) -> None:
        self.doubt = False
        self.written = False
        self.line = line
        self.tally = tally
        self._driver = driver
        self._settings = settings
        self._session = bound
        self._database: Any = driver.database(settings.database)

    def name(self, collection: str) -> str:
        """Return the full name of a collection."""
        return self._settings.name(collection)

    def _collection(self, name: str) -> Any:
        return self._database[self._settings.name(name)]

    # --- reads -----------------------------------------------------------------------------

    async def find(
        self,
        collection: str,
        where: Filter,
        *,
        fields: Mapping[str, int] | None = None,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        hint: str | None = None,
        local: bool = False,
    ) -> list[Doc]:
        """Return documents.

        Args:
            collection: Where.
            where: The condition.
            fields: The projection.
            sort: The order.
            limit: At most so many; 0 all.
            hint: The index to use.
            local: Read what the primary has, whether a majority has it or not: for candidates
                that are looked at again when they are written.
        """
        self.tally.commands += 1
        place = self._collection(collection)
        if local:
            place = place.with_options(read_concern=_LOCAL)
        cursor = place.find(where, fields, session=self._session)
        # One reply for all that fits into one, instead of 101 documents and then the others.
        cursor = cursor.batch_size(limit + 1 if limit else 100_000).limit(limit)
        if sort is not None:
            cursor = cursor.sort(sort)
        if hint is not None:
            cursor = cursor.hint(self._settings.name(hint))
        found: list[Doc] = await cursor.to_list(None)
        return found

    async def aggregate(
        self, collection: str, pipeline: Sequence[Filter], *, hint: str | None = None
    ) -> list[Doc]:
        """Return what a pipeline yields."""
        self.tally.commands += 1
        options: dict[str, Any] = {"session": self._session}
        if hint is not None:
            options["hint"] = self._settings.name(hint)
        return await self._driver.aggregate(self._collection(collection), pipeline, **options)

    async def command(self, command: Mapping[str, Any]) -> Doc:
        """Carry out a command that touches no rows; return its answer."""
        self.tally.commands += 1
        answer: Doc = await self._database.command(command, codec_options=CODEC)
        return answer

    # --- writes ----------------------------------------------------------------------------

    @asynccontextmanager
    async def _writing(self) -> AsyncGenerator[None]:
        """A command that writes; by itself, it commits what it does."""
        self.tally.commands += 1
        if self._session is not None:
            yield
            return
        self.tally.commits += 1
        self.doubt = True
        yield
        self.doubt = False
        self.written = True

    async def insert(self, collection: str, docs: Sequence[Doc]) -> set[int]:
        """Insert documents; return the places of those that were not, being there already.

        Raises:
            AgainError: In a transaction, one is there, although it was not a moment ago.
        """
        if not docs:
            return set()
        refused: set[int] = set()
        async with self._writing():
            try:
                await self._collection(collection).insert_many(
                    docs, ordered=False, session=self._session
                )
            except BulkWriteError as error:
                refused = _duplicates(error)
                if self._session is not None:
                    msg = "somebody else has just inserted the same; nothing was written"
                    raise AgainError(msg) from error
        return refused

    async def update_each(self, collection: str, updates: Sequence[UpdateOne]) -> int:
        """Carry out updates of one document each; return how many met theirs.

        Sent again by the driver, should the reply be lost, and carried out once.
        """
        if not updates:
            return 0
        async with self._writing():
            try:
                done = await self._collection(collection).bulk_write(
                    updates, ordered=False, session=self._session
                )
            except BulkWriteError as error:
                if self._session is None or not _duplicates(error):
                    raise
                msg = "somebody else has just made the same; nothing was written"
                raise AgainError(msg) from error
        met: int = done.matched_count + done.upserted_count
        return met

    async def update_many(
        self, collection: str, where: Filter, change: Any, *, patience: int | None = None
    ) -> int:
        """Update all documents that a condition meets, each atomically; return how many.

        Args:
            collection: Where.
            where: The condition.
            change: The update or the pipeline.
            patience: Milliseconds after which the server stops before the next document.
        """
        update = {"q": where, "u": change, "multi": True}
        command: dict[str, Any] = {"update": self._settings.name(collection), "updates": [update]}
        return await self._count(command, patience)

    async def delete_many(self, collection: str, where: Filter) -> int:
        """Delete all documents that a condition meets; return how many."""
        command: dict[str, Any] = {
            "delete": self._settings.name(collection),
            "deletes": [{"q": where, "limit": 0}],
        }
        return await self._count(command, None)

    async def _count(self, command: dict[str, Any], patience: int | None) -> int:
        """Carry out an update or a delete of many documents; return how many."""
        answer = await self._past_the_driver(command, patience)
        count: int = answer["n"]
        return count

    async def _past_the_driver(self, command: dict[str, Any], patience: int | None) -> Doc:
        """Carry out a command that writes, without the driver's own methods.

        Those neither know a time limit of the server's, nor would they send an update of many
        documents a second time; and what they can send a second time costs the server a note.
        """
        if self._session is None:
            command["writeConcern"] = _ACKNOWLEDGED
            if patience is not None:
                command["maxTimeMS"] = patience
        async with self._writing():
            answer: Doc = await self._database.command(
                command, codec_options=CODEC, session=self._session
            )
            for error in answer.get("writeErrors", ()):
                raise OperationFailure(error["errmsg"], error["code"], answer)
            if "writeConcernError" in answer:
                error = answer["writeConcernError"]
                raise WriteConcernError(error.get("errmsg", ""), error["code"], answer)
        return answer

    async def take_one(
        self, collection: str, where: Filter, change: Any, *, patience: int
    ) -> Doc | None:
        """Change one document; return it as it is afterwards, None if none meets the condition.

        Like `update_many`, and unlike `change_one`, not sent again should the reply be lost.

        Args:
            collection: Where.
            where: The condition.
            change: The update or the pipeline.
            patience: Milliseconds after which the server gives up.
        """
        command: dict[str, Any] = {
            "findAndModify": self._settings.name(collection),
            "query": where,
            "update": change,
            "new": True,
        }
        answer = await self._past_the_driver(command, patience)
        doc: Doc | None = answer["value"]
        return doc

    async def change_one(self, collection: str, where: Filter, change: Any, **options: Any) -> Any:
        """Change one document; return it as it is afterwards, None if there is none.

        Sent again by the driver, should the reply be lost, and carried out once.
        """
        async with self._writing():
            return await self._collection(collection).find_one_and_update(
                where, change, session=self._session, return_document=True, **options
            )

    def interrupted(self) -> None:
        """Take note that a command has ended, but before its end: a part of it was written."""
        self.doubt = False
        self.written = True

    async def catch_up(self) -> None:
        """Wait until a majority has what this server has: what was seen can be relied on."""
        await self.update_many(SCHEMA, {"_id": None}, {"$set": {"_id": None}})

    # --- transactions ----------------------------------------------------------------------

    async def transact(self, work: Callable[[], Awaitable[T]], *, attempts: int | None = None) -> T:
        """Carry out a transaction, again and again while somebody else is in its way.

        Whatever a decision is based on must be written, too: of two transactions that write one
        document, the server undoes one.

        Args:
            work: What to do in it; begun anew after a conflict, so it must not keep anything.
            attempts: How often at most; None: for half a minute.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _GIVE_UP
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self.transaction():
                    answer = await work()
            except Exception as error:
                if not undone(error) or self.doubt or loop.time() > end or attempt == attempts:
                    raise
                self.tally.conflicts += 1
                await asyncio.sleep(_pause(attempt))
            else:
                return answer

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Make one transaction of what is done meanwhile, undone if an error leaves the context."""
        async with self.line.turn() as session:
            self.tally.transactions += 1
            self._session = session
            try:
                yield
                self.doubt = True
                await self._commit(session)
                self.doubt = False
                self.written = True
            finally:
                self._session = None

    async def _commit(self, session: Any) -> None:
        self.tally.commits += 1
        for attempt in range(1, _COMMITS + 1):
            self.tally.commands += 1
            try:
                await session.commit_transaction()
            except PyMongoError as error:
                # The latter is said of a repetition by the driver, too, and without the label.
                if not labelled(error, UNKNOWN_COMMIT) and not between_roles(error):
                    self.doubt = False
                    raise
                # The driver has looked for a primary for as long as it was told to.
                if isinstance(error, ServerSelectionTimeoutError) or attempt == _COMMITS:
                    raise
                # What was committed is not committed twice.
                await asyncio.sleep(_COMMIT_PAUSE * attempt)
            else:
                return


def _pause(attempt: int) -> float:
    """Return how long to wait, a time that two processes are unlikely to share."""
    longest = min(_FIRST_PAUSE * float(1 << min(attempt, 10)), _LONGEST_PAUSE)
    return longest * (0.25 + 0.75 * secrets.randbelow(1_000) / 1_000)


def _duplicates(error: BulkWriteError) -> set[int]:
    """Return the places of documents that are there already.

    Raises:
        BulkWriteError: Something else went wrong, too.
    """
    details: Any = error.details
    refused: list[Doc] = details["writeErrors"]
    strange = [one for one in refused if one["code"] != DUPLICATE]
    if strange or details.get("writeConcernErrors"):
        raise error
    return {one["index"] for one in refused}
