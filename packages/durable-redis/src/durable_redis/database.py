"""Calls of scripts: sent together, loaded where they are missing, translated when they fail."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from redis import exceptions as exc

from durable_core.storage import ClosedError, OutcomeUnknownError, StorageError

from .errors import lost, translate, word
from .links import Connection, Link, pack
from .scripts import Script
from .settings import Settings
from .statistics import Tally

Arguments = Sequence[bytes]

_ATTEMPTS: Final = 4
"""How often a call that nobody carried out is sent, while the slot moves or the script is new."""

_NOT_DONE: Final = frozenset({"NOSCRIPT", "MOVED"})
"""Answers after which the storage itself sends the same command again, better prepared."""


class _Sending:
    """What is known of one call while it is on its way."""

    def __init__(self, calls: Sequence[Arguments]) -> None:
        self.replies: list[Any] = [None] * len(calls)
        self.pending = list(range(len(calls)))
        self.doubt = False
        self.written = False


class Database:
    """The scripts of one namespace.

    Args:
        link: Where they are sent to.
        settings: The namespace, and when a write counts.
        tally: Where commands are counted.

    Attributes:
        closed: Whether calls are refused.
    """

    def __init__(self, link: Link, settings: Settings, tally: Tally) -> None:
        self.link = link
        self.settings = settings
        self.tally = tally
        self.closed = False
        self._calls = 0
        self._quiet = asyncio.Event()

    @property
    def place(self) -> str:
        """The server and the namespace, for messages."""
        return f"{self.link.place} {self.settings.namespace!r}"

    async def close(self) -> None:
        """Refuse new calls and wait for those under way. Idempotent."""
        self.closed = True
        while self._calls:
            self._quiet.clear()
            await self._quiet.wait()

    async def one(self, script: Script, *arguments: bytes) -> bytes:
        """Run a script once and return its answer."""
        (reply,) = await self.run(script, [arguments])
        return cast("bytes", reply)

    async def run(self, script: Script, calls: Sequence[Arguments]) -> list[Any]:
        """Run a script several times, in order, in one round trip; return its answers.

        Raises:
            StorageError: As `Storage` says; what an answered part of the calls did stays done.
        """
        if not calls:
            self._check_open()
            return []
        sending = _Sending(calls)
        self._calls += 1
        try:
            for attempt in range(_ATTEMPTS):
                self._check_open()
                error = await self._attempt(script, calls, sending, last=attempt == _ATTEMPTS - 1)
                if error is None:
                    return sending.replies
                if word(error) == "MOVED":
                    self.link.doubt()
            raise AssertionError  # the last attempt returns or raises
        finally:
            self._calls -= 1
            self._quiet.set()

    async def command(self, *command: bytes) -> Any:
        """Return the answer to a command that only reads.

        Raises:
            StorageError: It failed.
        """
        self._calls += 1
        try:
            for _ in range(_ATTEMPTS - 1):
                try:
                    return await self._command(command)
                except exc.MovedError:
                    self.link.doubt()
            return await self._command(command)
        except Exception as error:
            raise self._translated(error, write=False) from error
        finally:
            self._calls -= 1
            self._quiet.set()

    async def _command(self, command: Arguments) -> Any:
        self._check_open()
        connection = await self.link.acquire()
        try:
            self.tally.commands += 1
            self.tally.round_trips += 1
            await connection.send_packed_command(pack(command))
            return await connection.read_response(disable_decoding=True)
        finally:
            await self.link.release(connection)

    def _check_open(self) -> None:
        if self.closed:
            msg = f"the RedisStorage on {self.place} is closed"
            raise ClosedError(msg)

    def _translated(self, error: Exception, *, write: bool) -> StorageError:
        if lost(error):
            self.link.doubt()
        return translate(error, self.place, write=write, doubt=False, written=False)

    async def _attempt(
        self, script: Script, calls: Sequence[Arguments], sending: _Sending, *, last: bool
    ) -> Exception | None:
        """Send what is pending; return why it must be sent again, None when it need not.

        Raises:
            StorageError: It failed.
        """
        connection: Connection | None = None
        try:
            connection = await self.link.acquire()
            error = await self._exchange(connection, script, calls, sending)
        except Exception as raised:
            if lost(raised):
                self.link.doubt()
            raise translate(
                raised,
                self.place,
                write=script.writes,
                doubt=sending.doubt,
                written=sending.written,
            ) from raised
        finally:
            if connection is not None:
                await self.link.release(connection)
        if error is None:
            return None
        if word(error) in _NOT_DONE and not last:
            return error
        raise translate(
            error, self.place, write=script.writes, doubt=False, written=sending.written
        ) from error

    async def _exchange(
        self,
        connection: Connection,
        script: Script,
        calls: Sequence[Arguments],
        sending: _Sending,
    ) -> Exception | None:
        """Send scripts and read all answers; return the first error among them."""
        confirmation = self.settings.confirmation if script.writes else ()
        await self._send(connection, script, calls, sending, confirmation)
        error: Exception | None = None
        still: list[int] = []
        for place in sending.pending:
            try:
                sending.replies[place] = await connection.read_response(disable_decoding=True)
                sending.written = sending.written or script.writes
            except exc.ResponseError as said:
                if error is None or word(error) in _NOT_DONE:
                    error = said
                still.append(place)
        sending.pending = still
        if confirmation:
            reached = await connection.read_response(disable_decoding=True)
            if error is None:
                self._confirm(reached)
        sending.doubt = False
        if error is not None and word(error) == "NOSCRIPT":
            await self._load(connection, script)
        return error

    async def _send(
        self,
        connection: Connection,
        script: Script,
        calls: Sequence[Arguments],
        sending: _Sending,
        confirmation: Arguments,
    ) -> None:
        begin = (b"EVALSHA", script.digest, b"1", self.settings.schema)
        commands = [pack((*begin, *calls[place])) for place in sending.pending]
        if confirmation:
            commands.append(pack(confirmation))
        self.tally.commands += len(commands)
        self.tally.scripts += len(sending.pending)
        self.tally.writes += len(sending.pending) if script.writes else 0
        self.tally.round_trips += 1
        sending.doubt = True
        await connection.send_packed_command(b"".join(commands))

    async def _load(self, connection: Connection, script: Script) -> None:
        self.tally.commands += 1
        self.tally.round_trips += 1
        await connection.send_packed_command(pack((b"SCRIPT", b"LOAD", script.text)))
        await connection.read_response(disable_decoding=True)

    def _confirm(self, reached: Any) -> None:
        """Refuse to say that something was written which has not reached what it must.

        Raises:
            OutcomeUnknownError: How far it came.
        """
        wanted = (
            (1, self.settings.wait_replicas)
            if self.settings.wait_aof
            else (self.settings.wait_replicas,)
        )
        got: Sequence[int] = (reached,) if isinstance(reached, int) else reached
        if all(have >= want for have, want in zip(got, wanted, strict=True)):
            return
        msg = (
            f"{self.place}: written, but {self.settings.confirmation[0].decode()} reports "
            f"{got} instead of {wanted} after {self.settings.wait_timeout} s: a failover may "
            "lose it; send the same call again"
        )
        raise OutcomeUnknownError(msg)

    async def load_all(self, scripts: Sequence[Script]) -> None:
        """Load scripts, in one round trip.

        Raises:
            StorageError: It failed.
        """
        self._check_open()
        try:
            connection = await self.link.acquire()
            try:
                self.tally.commands += len(scripts)
                self.tally.round_trips += 1
                commands = [pack((b"SCRIPT", b"LOAD", script.text)) for script in scripts]
                await connection.send_packed_command(b"".join(commands))
                for _ in scripts:
                    await connection.read_response(disable_decoding=True)
            finally:
                await self.link.release(connection)
        except Exception as error:
            raise self._translated(error, write=False) from error
