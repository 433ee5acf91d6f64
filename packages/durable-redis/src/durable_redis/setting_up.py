"""Creating and inspecting the schema, and asking the server what its answers are worth."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from durable_core.storage import (
    PROTOCOL_VERSION,
    PermanentError,
    ProtocolMismatchError,
    ReadOnlyError,
    SchemaReport,
    SchemaTooNewError,
)

from .database import Database
from .migrations import LATEST, MIGRATIONS
from .scripts import ALL, SETUP
from .settings import Settings

_LOG: Final = logging.getLogger("durable_redis")

_SETTINGS: Final = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
_OLDEST: Final = (7, 0)
_WAITAOF_SINCE: Final = (7, 2)
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What decides about durability, as the server says.

    Attributes:
        name: Redis or Valkey, with its version.
        version: Of Redis, or that with which Valkey calls itself compatible.
        clustered: Whether it is a node of a cluster.
        role: ``master`` or ``slave``, in the server's words.
        replicas: How many are connected.
        aof: Whether an append-only file is written.
        fsync: When it is synced: ``always``, ``everysec``, ``no``, or unknown.
        maxmemory: In bytes; 0 is no limit, None is unknown.
        policy: What is done when memory is full, or unknown.
        wait_aof: Whether this storage waits for the sync of each write.
        wait_replicas: For how many replicas it waits.
    """

    name: str
    version: tuple[int, int]
    clustered: bool
    role: str
    replicas: int
    aof: bool
    fsync: str
    maxmemory: int | None
    policy: str
    wait_aof: bool
    wait_replicas: int

    @property
    def durable(self) -> bool:
        """Whether what was answered survives the server's kill."""
        return not self.weaknesses

    @property
    def weaknesses(self) -> Sequence[str]:
        """What may make the server forget what it answered, each with what to do."""
        found: list[str] = []
        if not self.aof:
            found.append("appendonly is off: set it to yes")
        elif self.fsync != "always" and not self.wait_aof:
            found.append(
                f"appendfsync is {self.fsync}: set it to always, or open the storage with "
                "wait_aof=True"
            )
        if self.maxmemory != 0 and not self.policy.startswith(("noeviction", "volatile-")):
            found.append(
                f"maxmemory-policy is {self.policy}: set it to noeviction, or executions vanish "
                "when memory is full"
            )
        return found

    @property
    def text(self) -> str:
        """The same for people."""
        parts = [
            self.name,
            f"appendonly={'yes' if self.aof else 'no'}",
            f"appendfsync={self.fsync}",
            f"maxmemory-policy={self.policy}",
            f"replicas={self.replicas}",
        ]
        if self.wait_aof:
            parts.append("WAITAOF after each write")
        if self.wait_replicas:
            parts.append(f"each write confirmed by {self.wait_replicas} replicas")
        return ", ".join(parts)


async def look_at_server(database: Database) -> Server:
    """Return what the server says of itself; what it forbids to ask is unknown."""
    info = _facts(await database.command(b"INFO"))
    config = await _config(database)
    name, version = _version(info)
    maxmemory = config.get("maxmemory", info.get("maxmemory"))
    return Server(
        name=name,
        version=version,
        clustered=info.get("cluster_enabled") == "1",
        role=info.get("role", "master"),
        replicas=int(info.get("connected_slaves", "0")),
        aof=config.get("appendonly", "") == "yes" or info.get("aof_enabled") == "1",
        fsync=config.get("appendfsync", _UNKNOWN),
        maxmemory=None if maxmemory is None else int(maxmemory),
        policy=config.get("maxmemory-policy", info.get("maxmemory_policy", _UNKNOWN)),
        wait_aof=database.settings.wait_aof,
        wait_replicas=database.settings.wait_replicas,
    )


def _facts(info: object) -> dict[str, str]:
    if not isinstance(info, bytes):
        return {}
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


async def _config(database: Database) -> dict[str, str]:
    """Return settings; none where CONFIG is forbidden, as on most managed servers."""
    try:
        names = (name.encode() for name in _SETTINGS)
        said: Any = await database.command(b"CONFIG", b"GET", *names)
    except PermanentError:
        return {}
    # A map in RESP 3, a flat list in RESP 2.
    flat = isinstance(said, list)
    pairs: Any = [said] if flat else said.items()
    texts: list[str] = [part.decode() for pair in pairs for part in pair]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _version(info: Mapping[str, str]) -> tuple[str, tuple[int, int]]:
    redis = info.get("redis_version", "0.0")
    major, minor = (int(part) for part in redis.split(".")[:2])
    valkey = info.get("valkey_version")
    name = f"Redis {redis}" if valkey is None else f"Valkey {valkey}"
    return name, (major, minor)


def check_server(server: Server, settings: Settings, place: str, *, clustered: bool) -> None:
    """Refuse a server that cannot do what is wanted; say aloud what it may forget.

    Args:
        server: What it said.
        settings: What is wanted.
        place: Where it is, for messages.
        clustered: Whether the storage knows that it is a cluster.

    Raises:
        PermanentError: It is too old, of a cluster, or forgets, and that is not wanted.
        ReadOnlyError: It is a replica.
    """
    if server.version < _OLDEST:
        msg = f"{place}: {server.name} is too old: Redis 7.0 or newer, or Valkey, is needed"
        raise PermanentError(msg)
    if server.clustered and not clustered:
        msg = (
            f"{place}: this is a node of a cluster: open the storage by redis+cluster://…, or with "
            "a redis.asyncio.RedisCluster"
        )
        raise PermanentError(msg)
    if server.role != "master":
        msg = f"{place}: this is a replica: connect to the primary"
        raise ReadOnlyError(msg)
    if settings.wait_aof and (server.version < _WAITAOF_SINCE or not server.aof):
        msg = (
            f"{place}: wait_aof=True needs Redis 7.2 or newer, or Valkey, with appendonly yes; "
            f"this is {server.text}"
        )
        raise PermanentError(msg)
    if settings.durability == "ignore" or not server.weaknesses:
        return
    text = f"{place} may forget what it answered: {'; '.join(server.weaknesses)}"
    if settings.durability == "require":
        msg = f"{text}. It is refused, because the storage was opened with durability='require'"
        raise PermanentError(msg)
    _LOG.warning("%s", text)


async def set_up(database: Database, *, migrate: bool) -> SchemaReport:
    """Do what `Storage.setup` says; one script, so that several starters are one after another."""
    names = [step.name.encode() for step in MIGRATIONS]
    what = b"migrate" if migrate else b"look"
    if migrate:
        # Looks first: what a newer release made must not be touched.
        await set_up(database, migrate=False)
    newest, protocol = b"%d" % LATEST, b"%d" % PROTOCOL_VERSION
    ((version, stored_protocol, *done),) = await database.run(
        SETUP, [[what, newest, protocol, *names]]
    )
    _check_version(database.place, version, stored_protocol)
    if migrate:
        await database.load_all(ALL)
    missing = [f"migration {step.name}" for step in MIGRATIONS if step.number > version]
    return SchemaReport(version=version, applied=[name.decode() for name in done], missing=missing)


def _check_version(place: str, version: int, protocol: int) -> None:
    if version > LATEST:
        msg = (
            f"{place} has schema version {version}, this durable-redis knows versions up to "
            f"{LATEST}: upgrade durable-redis"
        )
        raise SchemaTooNewError(msg)
    if protocol > PROTOCOL_VERSION:
        msg = (
            f"{place} serves storage protocol {protocol}, this durable-redis speaks "
            f"{PROTOCOL_VERSION}: upgrade durable-redis"
        )
        raise ProtocolMismatchError(msg)
