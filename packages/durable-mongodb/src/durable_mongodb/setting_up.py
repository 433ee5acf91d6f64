"""Creating, migrating and inspecting the schema, and looking at the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import OperationFailure

from durable_core.storage import (
    PROTOCOL_VERSION,
    PermanentError,
    ProtocolMismatchError,
    SchemaMissingError,
    SchemaReport,
    SchemaTooNewError,
)

from .errors import HOW_TO, read_only
from .migrations import LATEST, MIGRATIONS
from .records import Doc
from .session import Session
from .settings import SCHEMA

_OLDEST: Final = 17
"""The wire version of MongoDB 6.0."""

_NO_NAMESPACE: Final = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The server, as it says.

    Attributes:
        version: Its version.
        replica_set: Of which it is a member.
        members: How many members are visible.
    """

    version: str
    replica_set: str
    members: int

    @property
    def text(self) -> str:
        """What decides about durability, for people."""
        members = "1 member" if self.members == 1 else f"{self.members} members"
        return (
            f"MongoDB {self.version}, replica set {self.replica_set} of {members}, "
            "writes acknowledged by a majority with its journal (w=majority, j=true), "
            "majority reads"
        )


async def look_at_server(session: Session, place: str) -> Server:
    """Return what the server says of itself.

    Raises:
        PermanentError: It belongs to no replica set, or is too old.
        ReadOnlyError: The client is tied to a secondary.
    """
    said = await session.command({"hello": 1})
    if said.get("msg") == "isdbgrid":
        msg = (
            f"{place}: this is a router of a sharded cluster (mongos), for which nothing is "
            f"promised: {HOW_TO}"
        )
        raise PermanentError(msg)
    if "setName" not in said:
        msg = f"{place}: this server belongs to no replica set, so it has no transactions: {HOW_TO}"
        raise PermanentError(msg)
    if said["maxWireVersion"] < _OLDEST:
        msg = f"{place}: this server is older than MongoDB 6.0: upgrade it"
        raise PermanentError(msg)
    if not said.get("isWritablePrimary"):
        raise read_only(place)
    built = await session.command({"buildInfo": 1})
    return Server(
        version=str(built["version"]),
        replica_set=str(said["setName"]),
        members=len(said.get("hosts", ())),
    )


async def set_up(session: Session, place: str, *, migrate: bool) -> SchemaReport:
    """Do what `Storage.setup` says."""
    version = await _version(session, place)
    applied: list[str] = []
    missing = await _missing(session, version)
    if migrate and missing:
        for step in MIGRATIONS:
            for collection, indexes in step.indexes.items():
                await _create(session, collection, indexes)
            # Whoever records a step has carried it out; several may have done so at once.
            if step.number > version and await _record(session, step.number):
                applied.append(step.name)
        version = await _version(session, place)
        missing = await _missing(session, version)
        if missing:
            raise SchemaMissingError(_lacks(place, missing))
    return SchemaReport(version=version, applied=applied, missing=missing)


async def check_schema(session: Session, place: str) -> None:
    """Look whether there is a schema, before the first call that `setup` did not precede.

    Raises:
        SchemaMissingError: There is none; a server would make collections without any index.
        SchemaTooNewError: A newer release made it.
        ProtocolMismatchError: It serves a newer protocol.
    """
    version = await _version(session, place)
    missing = await _missing(session, version)
    if missing:
        raise SchemaMissingError(_lacks(place, missing))


def _lacks(place: str, missing: list[str]) -> str:
    return f"{place} lacks {'; '.join(missing)}: run setup() with migrate=True"


async def _create(session: Session, collection: str, indexes: Any) -> None:
    specs = [{**index, "name": session.name(index["name"])} for index in indexes]
    await session.command(
        {
            "createIndexes": session.name(collection),
            "indexes": specs,
            "writeConcern": {"w": "majority", "j": True},
        }
    )


async def _record(session: Session, number: int) -> bool:
    step = MIGRATIONS[number - 1]
    doc: Doc = {"_id": number, "name": step.name, "protocol": step.protocol}
    recorded = not await session.insert(SCHEMA, [doc])
    # Creating the next step twice is harmless, so nothing of this call needs to be in doubt.
    session.written = False
    return recorded


async def _version(session: Session, place: str) -> int:
    """Return the schema's version, 0 if there is none.

    Raises:
        SchemaTooNewError: A newer release made it.
        ProtocolMismatchError: It serves a newer protocol.
    """
    newest = await session.find(SCHEMA, {}, sort=[("_id", -1)], limit=1)
    if not newest:
        return 0
    version, protocol = int(newest[0]["_id"]), int(newest[0]["protocol"])
    where = f"{place}: collection {session.name(SCHEMA)}"
    if version > LATEST:
        msg = (
            f"{where} has version {version}, this durable-mongodb knows versions up to {LATEST}: "
            "upgrade durable-mongodb"
        )
        raise SchemaTooNewError(msg)
    if protocol > PROTOCOL_VERSION:
        msg = (
            f"{where} serves storage protocol {protocol}, this durable-mongodb speaks "
            f"{PROTOCOL_VERSION}: upgrade durable-mongodb"
        )
        raise ProtocolMismatchError(msg)
    return version


async def _missing(session: Session, version: int) -> list[str]:
    missing = [f"migration {step.name}" for step in MIGRATIONS if step.number > version]
    for step in MIGRATIONS:
        for collection, indexes in step.indexes.items():
            there = await _indexes(session, collection)
            for index in indexes:
                name = session.name(index["name"])
                if name not in there:
                    missing.append(f"index {name} of {session.name(collection)}")
                elif _shape(there[name]) != _shape(index):
                    missing.append(f"index {name} of {session.name(collection)} as it should be")
    return missing


async def _indexes(session: Session, collection: str) -> dict[str, Doc]:
    try:
        said = await session.command(
            {"listIndexes": session.name(collection), "cursor": {"batchSize": 1_000}}
        )
    except OperationFailure as error:
        if error.code == _NO_NAMESPACE:
            return {}
        raise
    found: list[Doc] = said["cursor"]["firstBatch"]
    return {one["name"]: one for one in found}


def _shape(index: Mapping[str, Any]) -> list[Any]:
    """Return what an index is, without what the server says of it besides."""
    keys: Mapping[str, int] = index["key"]
    # The order of the keys is part of it, which no dictionary compares.
    return [list(keys.items()), bool(index.get("unique")), index.get("partialFilterExpression")]
