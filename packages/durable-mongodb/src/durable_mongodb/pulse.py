"""Heartbeats of a thread, with a client of its own."""

import threading
from typing import Any

import pymongo
from pymongo import MongoClient

from durable_core.storage import Beat, ClosedError, Lease
from durable_core.storage.kit import check_executor

from .drivers import CODEC, Driver, blocking_database
from .errors import translate
from .leases import MOST, answer, marked, microseconds, renewal
from .records import NO_PAYLOADS, Doc
from .settings import EXECUTIONS, LEASES, Settings


class MongoPulse:
    """See `PulseConnection`: connects with the first beat.

    Args:
        driver: Says how to connect.
        settings: Where the documents are.
        place: The database, for messages.
    """

    def __init__(self, driver: Driver, settings: Settings, place: str) -> None:
        self._driver = driver
        self._settings = settings
        self._place = place
        self._client: MongoClient[Doc] | None = None
        self._closed = False
        self._lock = threading.Lock()

    def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
        """See `PulseConnection.beat`."""
        check_executor(executor)
        if self._closed:
            msg = f"this heartbeat's connection to {self._place} is closed"
            raise ClosedError(msg)
        lease = Lease(executor=executor, started_at=now, expires_at=now + ttl, info=b"")
        sent = False
        try:
            with self._lock, pymongo.timeout(max(ttl, 3) / 3_000_000):
                database = self._connect()
                sent = True
                return self._renew(database, lease)
        except Exception as error:
            raise translate(error, self._place, write=sent, doubt=sent, written=False) from error

    def _renew(self, database: Any, lease: Lease) -> Beat:
        leases = database[self._settings.name(LEASES)]
        executions = database[self._settings.name(EXECUTIONS)]
        who = {"_id": lease.executor}
        changed: Doc | None = None
        if lease.expires_at <= lease.started_at:
            leases.delete_many(who)
        else:
            changed = leases.find_one_and_update(
                who, renewal(lease, register=False), return_document=True
            )
        if changed is None:
            said: Doc = database.command("hello", codec_options=CODEC)
            return Beat(alive=False, clock=microseconds(said["localTime"]))
        orders = executions.find(marked(lease.executor), NO_PAYLOADS).sort([("_id", 1)])
        docs: list[Doc] = list(orders.hint(self._settings.name("marked")).limit(MOST + 1))
        return answer(changed["beaten_at"], docs)

    def _connect(self) -> Any:
        if self._client is None:
            self._client = self._driver.blocking()
        return blocking_database(self._client, self._settings.database)

    def close(self) -> None:
        """Release the connection. Idempotent."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None and not self._driver.lends():
            client.close()
