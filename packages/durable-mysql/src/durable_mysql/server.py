"""What a server says of itself: its flavor, its limits, and what its commits are worth."""

from dataclasses import dataclass, replace
from typing import Final

from durable_core.storage import PermanentError

from .drivers import Driver, query
from .errors import refused_packet
from .flavors import Flavor, flavor_of

_ASK: Final = (
    "SELECT @@version, @@version_comment, @@max_allowed_packet, "
    "@@innodb_flush_log_at_trx_commit, @@sync_binlog, @@log_bin, @@innodb_doublewrite"
)
_STEP: Final = 256 * 1024
_MARGIN: Final = 64 * 1024
"""Bytes of a packet that hold no payload: the names in one row, the statement around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What setup has found out.

    Attributes:
        flavor: MySQL or MariaDB.
        version: As the server says it.
        packet: Bytes of a statement that the server takes.
        multi: Whether a packet may hold several statements: a proxy may forbid it.
        flush: When the redo log is flushed; 1 is with each commit.
        sync_binlog: After how many groups of commits the binary log is flushed.
        log_bin: Whether there is a binary log.
        doublewrite: Whether it survives torn pages.
    """

    flavor: Flavor
    version: str
    packet: int
    multi: bool
    flush: int
    sync_binlog: int
    log_bin: bool
    doublewrite: bool

    @property
    def durable(self) -> bool:
        """Whether what was answered survives the death of the server and its machine."""
        logged = not self.log_bin or self.sync_binlog == 1
        return self.flush in {1, 3} and logged and self.doublewrite

    @property
    def durability(self) -> str:
        """The same for people."""
        binlog = f"sync_binlog={self.sync_binlog}" if self.log_bin else "no binary log"
        return (
            f"{self.flavor.name} {self.version}, innodb_flush_log_at_trx_commit={self.flush}, "
            f"{binlog}, innodb_doublewrite={'on' if self.doublewrite else 'off'}"
        )

    @property
    def max_batch_bytes(self) -> int:
        """Payload bytes that surely fit into one packet, where each takes two characters."""
        size = (self.packet - _MARGIN) // 2
        # A figure that people can read, where there is enough.
        return size - size % _STEP if size > 2 * _STEP else size


async def look_at(driver: Driver, place: str) -> Server:
    """Ask the server at the other end of a connection.

    Raises:
        PermanentError: The server is too old, or takes packets that are too small.
    """
    (result,) = await query(driver, _ASK)
    version, comment, packet, flush, sync_binlog, log_bin, doublewrite = result.rows[0]
    server = Server(
        flavor=flavor_of(version, comment, place),
        version=version,
        packet=packet - 1024,
        multi=True,
        flush=int(flush),
        sync_binlog=int(sync_binlog),
        log_bin=bool(int(log_bin)),
        doublewrite=str(doublewrite).upper() not in {"0", "OFF"},
    )
    if server.max_batch_bytes < _MARGIN:
        msg = f"{place}: max_allowed_packet={packet} is too small, set it to 1 MiB or more"
        raise PermanentError(msg)
    try:
        await query(driver, "SELECT 1;SELECT 2")
    except Exception as error:
        if not refused_packet(error):
            raise
        return replace(server, multi=False)
    return server
