"""What the author of a storage gives: `open`, and what else he can."""

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from durable_core.storage import Storage

from .promises import Hook
from .settings import FOLDER


class CallersTransaction(Protocol):
    """A transaction of the storage's user, for the capability ``bind``."""

    @property
    def tx(self) -> object:
        """What `Bind.bind` takes."""
        ...

    async def write(self) -> None:
        """Write something of the caller's own in the transaction, such as a row of its own table.

        What others cannot do beside this write alone is not held against ``bind`` (BIND-3).
        """
        ...

    async def commit(self) -> None:
        """Commit; nothing is done in the transaction afterwards."""
        ...

    async def rollback(self) -> None:
        """Roll back; nothing is done in the transaction afterwards."""
        ...


class Cut(StrEnum):
    """Where, or how, a connection breaks."""

    BEFORE_SENDING = "before sending"
    """The next call reaches nobody."""
    AFTER_SENDING = "after sending"
    """The next call is carried out and its reply is lost."""
    STRANGELY = "strangely"
    """The next call raises an error of the driver's that no table knows."""
    LISTENER = "listener"
    """The connection on which hints arrive."""


class Author:
    """Override `open`; override the others where the storage can.

    An instance is made for every check, here and in other processes, so `open` depends on nothing
    but the namespace.
    """

    @property
    def folder(self) -> Path:
        """A folder for files of this run, the same in all its processes, removed at its end."""
        if FOLDER not in os.environ:
            msg = "there is a folder only while pytest runs with the durable-conformance plug-in"
            raise RuntimeError(msg)
        folder = Path(os.environ[FOLDER])
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def open(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
        """Open a handle on a namespace; the suite calls `setup` and leaves the context at the end.

        Handles that are open on one namespace at the same time see the same rows; another
        namespace sees none of them. A namespace that was never opened before is empty.

        Args:
            namespace: At most 30 characters of a-z, 0-9 and underscore, beginning with a letter;
                fit for a file name, a table prefix or a key prefix.
        """
        msg = f"{type(self).__name__} must define open(self, namespace)"
        raise NotImplementedError(msg)

    async def drop(self, namespace: str) -> None:
        """Delete what a namespace left behind; called when no handle is open on it any more."""

    async def versions(self, storage: Storage) -> Mapping[str, str]:
        """Return the versions of the driver, the database and its server for the certificate."""
        return {}

    def transaction(self, storage: Storage) -> AbstractAsyncContextManager[CallersTransaction]:
        """Open a transaction on the storage's database, rolled back at the end unless committed."""
        raise NotImplementedError

    async def restart(self) -> None:
        """Kill the server (SIGKILL) and start it again; open handles reconnect or stay broken."""
        raise NotImplementedError

    def cut(self, storage: Storage, where: Cut) -> AbstractAsyncContextManager[None]:
        """Break the storage's connection once while the context is open."""
        raise NotImplementedError

    def lock(self, namespace: str, execution_id: str) -> AbstractAsyncContextManager[None]:
        """Hold a lock on the execution's row, as a transaction of somebody else does."""
        raise NotImplementedError

    async def newer_schema(self, namespace: str) -> None:
        """Make the namespace's schema look as if the next release had made it."""
        raise NotImplementedError

    @classmethod
    def gives(cls, hook: Hook) -> bool:
        """Whether the author overrides an optional method."""
        return getattr(cls, hook.value) is not getattr(Author, hook.value)
