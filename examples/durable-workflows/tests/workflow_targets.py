"""Every storage that is certified here, opened the way its own certification does it.

A storage comes in as soon as its folder has `tests/test_conformance.py`; a server that it needs is
found by `servers.ROOMS`, by the target's name.
"""

import asyncio
import importlib.util
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import workspace

from durable_conformance import StorageConformance
from durable_conformance.settings import FOLDER
from durable_core import DurableExecutor, Handle, Status
from durable_core.storage import Storage

TARGETS = workspace.targets()
"""Target → the file that certifies it."""


def new_namespace() -> str:
    """Return a namespace that was never opened before."""
    return f"wf_{secrets.token_hex(6)}"


def author_of(target: str) -> StorageConformance:
    """Return what opens a target's storage, here or in another process."""
    file = TARGETS[target]
    name = f"workflow_target_{target.replace('-', '_')}"
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    found: list[type[StorageConformance]] = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, StorageConformance)
        and thing is not StorageConformance
        and thing.__module__ == name
    ]
    return found[0]()


def use_folder(folder: Path) -> None:
    """Let files of storages be in this folder, in this process and its children."""
    os.environ[FOLDER] = str(folder)


class Place:
    """One namespace of one target.

    Attributes:
        target: The target's name.
        namespace: Where its rows are.
        author: What opens it.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.namespace = new_namespace()
        self.author = author_of(target)

    def open(self) -> AbstractAsyncContextManager[Storage]:
        """Open a handle."""
        return self.author.open(self.namespace)

    @asynccontextmanager
    async def executor(self, **options: Any) -> AsyncGenerator[DurableExecutor]:
        """Run an executor on a handle of its own."""
        options.setdefault("poll_interval", 0.2)
        async with self.open() as storage, DurableExecutor(storage, **options) as executor:
            yield executor

    async def drop(self) -> None:
        """Delete what is left."""
        await self.author.drop(self.namespace)


async def reached(
    handle: Handle[Any], status: Status, executor: DurableExecutor | None = None
) -> None:
    """Wait until an execution has a status that nobody is told of, and the executor let it go."""
    while await handle.status() is not status:  # noqa: ASYNC110 - there is no such event
        await asyncio.sleep(0.02)
    while executor is not None and handle.id in executor.running:  # noqa: ASYNC110 - likewise
        await asyncio.sleep(0.02)
