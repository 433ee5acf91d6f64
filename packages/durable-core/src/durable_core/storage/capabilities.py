"""What a storage can do, as a value read by the engine and by the conformance suite alike."""

from dataclasses import dataclass
from typing import Final

from .errors import ProtocolMismatchError

PROTOCOL_VERSION: Final = 1
"""The newest version of the storage protocol that this core speaks; it serves this and the last."""

OLDEST_PROTOCOL_VERSION: Final = 1
"""The oldest version of the storage protocol that this core still serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Answers to the questions the core asks of a storage; the default is always the weakest.

    Attributes:
        protocol: Which version of the protocol does it speak?
        push: Does it offer `Listen`?
        bind: Does it offer `Bind`: insert inside the caller's own transaction?
        bind_checkpoint: Can a bound transaction record a checkpoint too?
        pulse: Does it offer `Pulse`: a blocking heartbeat for a thread?
        leases: Does it offer `Leases`: list who is alive?
        gates: Does a claim understand `gates`?
        shared: Can several processes use one namespace at the same time?
        durable: Does what was answered survive the kill of the server or process?
        resolution_us: How fine are times compared, in microseconds?
        max_batch_rows: How many rows (items and their children) may one call carry?
        max_batch_bytes: How many payload bytes may one call carry?
        max_payload: How many bytes may one payload have?
        best_batch_rows: With how many rows is a call worth most while more are waiting? In pieces
            the work of a server overlaps with the engine's. None: with as many as may be.
        durability: Which settings decide about durability, as text, for the certificate?
    """

    protocol: int
    push: bool = False
    bind: bool = False
    bind_checkpoint: bool = False
    pulse: bool = False
    leases: bool = False
    gates: bool = False
    shared: bool = False
    durable: bool = False
    resolution_us: int = 1_000
    max_batch_rows: int = 100
    max_batch_bytes: int = 4 * 1024 * 1024
    max_payload: int = 1024 * 1024
    best_batch_rows: int | None = None
    durability: str = ""


def check_protocol(capabilities: Capabilities, storage: str) -> None:
    """Refuse a storage that speaks another version of the protocol than this core.

    Args:
        capabilities: The storage's own value.
        storage: The storage's name, for the message.

    Raises:
        ProtocolMismatchError: With both versions and which side to upgrade.
    """
    theirs = capabilities.protocol
    if OLDEST_PROTOCOL_VERSION <= theirs <= PROTOCOL_VERSION:
        return
    side = "durable-core" if theirs > PROTOCOL_VERSION else storage
    msg = (
        f"{storage} speaks storage protocol {theirs}, this durable-core serves "
        f"{OLDEST_PROTOCOL_VERSION} to {PROTOCOL_VERSION}: upgrade {side}"
    )
    raise ProtocolMismatchError(msg)
