"""The two drivers that a client may belong to, and where they differ."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias, cast

from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, MongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from durable_core.storage import InvalidArgumentError

from .records import Doc

Client: TypeAlias = AsyncMongoClient[Doc]
"""PyMongo's asyncio client."""

MAJORITY: Final = WriteConcern(w="majority", j=True)
"""What every write waits for, whatever the client's URL says."""

CODEC: Final[CodecOptions[Doc]] = CodecOptions(document_class=dict, tz_aware=True)
"""How documents are read, whatever the client's own options are."""

_OPTIONS: Final[Mapping[str, Any]] = {
    "codec_options": CODEC,
    "read_preference": ReadPreference.PRIMARY,
    "write_concern": MAJORITY,
    "read_concern": ReadConcern("majority"),
}
_TRANSACTION: Final[Mapping[str, Any]] = {
    "read_concern": ReadConcern("snapshot"),
    "write_concern": MAJORITY,
    "read_preference": ReadPreference.PRIMARY,
}


_LEFT_OUT: Final = frozenset(
    {"connect", "event_listeners", "document_class", "type_registry", "auto_encryption_opts"}
)
"""Options of a client that a heartbeat's client does not take over."""


class Driver(Protocol):
    """What the two drivers do each in its own way.

    Databases, collections and sessions are the driver's own objects; what is called on them
    elsewhere is the same in both.
    """

    name: str

    def database(self, name: str) -> Any:
        """Return a database that reads and writes by majority."""
        ...

    async def start_session(self) -> Any:
        """Return a session."""
        ...

    async def start_transaction(self, session: Any) -> None:
        """Begin a transaction; nothing is sent yet."""
        ...

    async def aggregate(
        self, collection: Any, pipeline: Sequence[Mapping[str, Any]], **options: Any
    ) -> list[Doc]:
        """Return all that a pipeline yields."""
        ...

    def hosts(self) -> str:
        """Return the hosts of the client, for messages; never a password."""
        ...

    def knows_how_to_connect(self) -> bool:
        """Whether `blocking` can answer a client."""
        ...

    def blocking(self) -> MongoClient[Doc]:
        """Return a client for a thread, with the same settings."""
        ...

    def lends(self) -> bool:
        """Whether `blocking` answers a client of the caller's, which is not to be closed."""
        ...


class PyMongoDriver:
    """PyMongo's own asyncio client."""

    name = "pymongo"

    def __init__(self, client: Client) -> None:
        self._client = client

    def database(self, name: str) -> Any:
        """See `Driver.database`."""
        return self._client.get_database(name, **_OPTIONS)

    async def start_session(self) -> Any:
        """See `Driver.start_session`."""
        return self._client.start_session()

    async def start_transaction(self, session: Any) -> None:
        """See `Driver.start_transaction`."""
        await session.start_transaction(**_TRANSACTION)

    async def aggregate(
        self, collection: Any, pipeline: Sequence[Mapping[str, Any]], **options: Any
    ) -> list[Doc]:
        """See `Driver.aggregate`."""
        cursor = await collection.aggregate(pipeline, **options)
        found: list[Doc] = await cursor.to_list(None)
        return found

    def hosts(self) -> str:
        """See `Driver.hosts`."""
        return _hosts(self._client)

    def knows_how_to_connect(self) -> bool:
        """See `Driver.knows_how_to_connect`."""
        return self._made_with() is not None

    def _made_with(self) -> dict[str, Any] | None:
        # The driver has no public word for what a client was made with.
        given = getattr(self._client, "_init_kwargs", None)
        return cast("dict[str, Any]", given) if isinstance(given, dict) else None

    def blocking(self) -> MongoClient[Doc]:
        """See `Driver.blocking`."""
        made_with = self._made_with() or {}
        options = {name: value for name, value in made_with.items() if name not in _LEFT_OUT}
        # For a command every few seconds the server need not be watched by the millisecond.
        options["serverMonitoringMode"] = "poll"
        return MongoClient(**options)

    def lends(self) -> bool:
        """See `Driver.lends`."""
        return False


class MotorDriver:
    """A client of Motor, which runs PyMongo's blocking client in threads."""

    name = "motor"

    def __init__(self, client: Any) -> None:
        self._client = client

    def database(self, name: str) -> Any:
        """See `Driver.database`."""
        return self._client.get_database(name, **_OPTIONS)

    async def start_session(self) -> Any:
        """See `Driver.start_session`."""
        return await self._client.start_session()

    async def start_transaction(self, session: Any) -> None:
        """See `Driver.start_transaction`."""
        session.start_transaction(**_TRANSACTION)

    async def aggregate(
        self, collection: Any, pipeline: Sequence[Mapping[str, Any]], **options: Any
    ) -> list[Doc]:
        """See `Driver.aggregate`."""
        found: list[Doc] = await collection.aggregate(pipeline, **options).to_list(None)
        return found

    def hosts(self) -> str:
        """See `Driver.hosts`."""
        return _hosts(self._client.delegate)

    def knows_how_to_connect(self) -> bool:
        """See `Driver.knows_how_to_connect`."""
        return True

    def blocking(self) -> MongoClient[Doc]:
        """See `Driver.blocking`."""
        client: MongoClient[Doc] = self._client.delegate
        return client

    def lends(self) -> bool:
        """See `Driver.lends`."""
        return True


def _hosts(client: Any) -> str:
    try:
        servers = client.topology_description.server_descriptions()
    except PyMongoError:
        # What a mongodb+srv:// URL stands for is asked with the first call.
        return "…"
    return ",".join(f"{host}:{port}" for host, port in sorted(servers))


def blocking_database(client: MongoClient[Doc], name: str) -> Any:
    """Return a database for a thread that reads and writes by majority."""
    return client.get_database(name, **_OPTIONS)


def driver_for(client: object) -> Driver:
    """Return the driver of a client.

    Raises:
        InvalidArgumentError: It is neither PyMongo's asyncio client nor one of Motor's.
    """
    if isinstance(client, AsyncMongoClient):
        return PyMongoDriver(cast("Client", client))
    if _of_motor(client, "AsyncIOMotorClient"):
        return MotorDriver(client)
    msg = (
        f"{client!r:.120} is no client that can be used here: give a pymongo.AsyncMongoClient or a "
        "motor.motor_asyncio.AsyncIOMotorClient"
    )
    raise InvalidArgumentError(msg)


def driver_of_session(tx: object) -> tuple[Driver, Any]:
    """Return the driver and the session of a caller's transaction.

    Raises:
        InvalidArgumentError: It is neither driver's session, or in no transaction.
    """
    session: Any = tx
    driver: Driver
    if isinstance(tx, AsyncClientSession):
        driver = PyMongoDriver(cast("Client", session.client))
    elif _of_motor(tx, "AsyncIOMotorClientSession"):
        driver = MotorDriver(session.client)
    else:
        msg = (
            f"{tx!r:.120} is no session that can be joined: give the AsyncClientSession of a "
            "pymongo.AsyncMongoClient, or the session of a Motor client, in a transaction"
        )
        raise InvalidArgumentError(msg)
    return driver, session


def _of_motor(thing: object, name: str) -> bool:
    # Whoever has an object of Motor's has imported it; nobody else needs to have it installed.
    module = sys.modules.get("motor.motor_asyncio")
    kind = None if module is None else getattr(module, name, None)
    return isinstance(kind, type) and isinstance(thing, kind)
