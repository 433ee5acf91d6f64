"""Writing a durable function's record: cut into pieces, counted, kept within its limits."""

from collections.abc import Sequence
from typing import Final

from ...errors import RecordTooLargeError
from ...failure import ErrorInfo
from ...storage import Phase
from ..run import LetGoError, Run
from .record import MAX_BYTES, MAX_ENTRIES, Entry, History, encode_entries, entries_name

_PIECE: Final = 1024 * 1024


class Journal:
    """The end of a record, where it grows.

    Args:
        run: The activation.
        history: What is there.
    """

    def __init__(self, run: Run, history: History) -> None:
        self._run = run
        self._pieces = history.written
        self._entries = len(history.entries)
        self._bytes = history.size

    def portion(self, arrived: Sequence[Entry]) -> Sequence[Entry]:
        """Return as much of what has happened as fits into one call."""
        left = self._run.services.writer.storage.capabilities.max_batch_bytes // 4
        for number, entry in enumerate(arrived):
            left -= len(entry.payload)
            if number and left < 0:
                return arrived[:number]
        return tuple(arrived)

    def checkpoints(self, entries: Sequence[Entry]) -> dict[str, bytes]:
        """Return what has to be recorded, cut into pieces that every storage takes.

        Raises:
            LetGoError: It is more than is allowed: the execution ends.
        """
        self._check_limits(entries)
        pieces: list[list[Entry]] = []
        size = 0
        for entry in entries:
            if not pieces or size + len(entry.payload) > _PIECE:
                pieces.append([])
                size = 0
            pieces[-1].append(entry)
            size += len(entry.payload)
        return {
            entries_name(self._pieces + number): encode_entries(piece)
            for number, piece in enumerate(pieces)
        }

    def written(self, entries: int, checkpoints: dict[str, bytes]) -> None:
        """Take note of what was recorded."""
        self._entries += entries
        self._pieces += len(checkpoints)
        self._bytes += sum(map(len, checkpoints.values()))

    def _check_limits(self, entries: Sequence[Entry]) -> None:
        size = self._bytes + sum(len(entry.payload) for entry in entries)
        count = self._entries + len(entries)
        if count <= MAX_ENTRIES and size <= MAX_BYTES:
            return
        record = self._run.record
        error = RecordTooLargeError(
            f"execution {record.id} ({record.task}) would have {count:,} recorded results of "
            f"{size:,} bytes, at most {MAX_ENTRIES:,} and {MAX_BYTES:,} are allowed: begin a new "
            "record in time with ctx.continue_as_new, or let child executions do parts of the work"
        )
        info = ErrorInfo.from_exception(error, retryable=False)
        raise LetGoError(self._run.failed(Phase.FAILED, info))
