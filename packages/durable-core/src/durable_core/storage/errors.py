"""Storage errors: each class says what the caller does next.

A storage translates its driver's exceptions into these classes at one edge, by one table, and
keeps the original as ``__cause__`` (ERROR-3). Losing the ownership of a row is not an error: it is
an item's answer (`ApplyOutcome.SUPERSEDED`).
"""

from ..errors import DurableError


class StorageError(DurableError):
    """Base class of everything a storage raises on purpose."""


class TemporaryError(StorageError):
    """Nothing of this call was written; the same call may succeed later: retry with backoff."""


class DiskFullError(TemporaryError):
    """The storage has no room left. Temporary, because room can be made; raise an alarm."""


class OutcomeUnknownError(StorageError):
    """The write may or may not have landed.

    Writes are safe to send again unchanged: by token (`apply`), by id (`insert`), by request id
    (`wake`, `cancel`), by value (`heartbeat`, `reap`, `purge`). What a lost `claim` may hold is
    found with `find(query=Query(owner=...))`.
    """


class PermanentError(StorageError):
    """The same call will fail again: change the call, the schema or the server."""


class InvalidArgumentError(PermanentError):
    """A value is outside what the protocol allows; nothing was written."""


class TooLargeError(PermanentError):
    """A payload or a batch is larger than the capability allows; nothing was written."""


class SchemaMissingError(PermanentError):
    """Tables, columns or indexes are missing: run `setup()` with migrations allowed."""


class SchemaTooNewError(PermanentError):
    """The schema was made by a newer release than this one: upgrade this installation."""


class ProtocolMismatchError(PermanentError):
    """Core and storage do not speak a common version of the storage protocol."""


class ReadOnlyError(PermanentError):
    """The storage can be read but not written."""


class CorruptError(PermanentError):
    """The stored data is damaged or is not what this storage wrote."""


class ClosedError(StorageError):
    """The storage was closed before or during the call; nothing of the call was started."""
