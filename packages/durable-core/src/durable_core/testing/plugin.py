"""The pytest plugin of `durable_core.testing`, loaded by its entry point only.

Its fixtures are plain: they work with any asyncio plugin in any mode, and with ``asyncio.run``.
"""

from collections.abc import Iterator

import pytest

from ..errors import NotRunningError
from ..executor import DurableExecutor
from ..storage import MemoryStorage, Storage
from .clock import FakeClock
from .factory import ExecutorFactory


@pytest.fixture
def durable_clock() -> FakeClock:
    """Return a clock that stands still until the test advances it."""
    return FakeClock()


@pytest.fixture
def durable_storage(durable_clock: FakeClock) -> MemoryStorage:
    """Return an empty memory storage that goes by `durable_clock`.

    Override this fixture to run the same tests on another storage.
    """
    return MemoryStorage(clock=durable_clock.time_us)


@pytest.fixture
def durable_executor(
    durable_storage: Storage, durable_clock: FakeClock
) -> Iterator[ExecutorFactory]:
    """Return a function that makes executors on `durable_storage` and `durable_clock`.

    Enter each with ``async with``; the test fails if one was started and not shut down.
    """
    factory = ExecutorFactory(durable_storage, durable_clock)
    yield factory
    running = [executor for executor in factory.made if _runs(executor)]
    if running:
        pytest.fail(
            f"{len(running)} executors were started and not shut down: enter them with "
            "'async with', or await executor.shutdown()"
        )


def _runs(executor: DurableExecutor) -> bool:
    try:
        executor.engine  # noqa: B018 - asked for its error
    except NotRunningError:
        return False
    return True
