"""The pytest plugin: its fixtures work with every way to run async tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from durable_core import MemoryStorage
from durable_core.testing import ExecutorFactory, FakeClock, run_until_idle

BODY = """
async def scenario(make, clock, storage):
    executor = make()

    @executor.task(retries=RetryPolicy(2, delay=3600, max_delay=7200))
    async def flaky(number: int) -> int:
        if current().attempt < 3:
            raise OSError
        return number

    async with executor:
        handle = await executor.enqueue(flaky, 7)
        await run_until_idle(executor, horizon=timedelta(days=1))
        assert await handle.result() == 7
        await assert_enqueued(executor, flaky.call(7))
    assert clock.monotonic() == 3600 + 7200
    assert "flaky" in storage.dump()
"""

HEADER = """
import asyncio
from datetime import timedelta

import pytest

from durable_core import RetryPolicy, current
from durable_core.testing import assert_enqueued, run_until_idle
"""

FIXTURES = "durable_executor, durable_clock, durable_storage"
AUTO = f"async def test_it({FIXTURES}):\n    await scenario({FIXTURES})\n"
STRICT = f"@pytest.mark.asyncio\n{AUTO}"
PLAIN = f"""
def test_it({FIXTURES}):
    asyncio.run(scenario({FIXTURES}))


def test_forgets(durable_executor):
    async def forgets():
        await durable_executor(client_only=True).start()

    asyncio.run(forgets())


def test_fails(durable_executor):
    async def fails():
        executor = durable_executor()

        @executor.task
        async def send(to: str) -> None: ...

        async with executor:
            await assert_enqueued(executor, send.call("ada"))

    asyncio.run(fails())
"""


def run_pytest(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests in a process, and with settings, of its own."""
    (folder / "test_it.py").write_text(HEADER + BODY + source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("source", "mode"), [(AUTO, "auto"), (STRICT, "strict")])
def test_the_fixtures_work_with_an_asyncio_plugin(tmp_path: Path, source: str, mode: str) -> None:
    options = ["asyncio_default_fixture_loop_scope=function", f"asyncio_mode={mode}"]
    done = run_pytest(tmp_path, source, *(part for option in options for part in ("-o", option)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_fixtures_work_without_a_plugin(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, PLAIN, "-p", "no:asyncio")
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    # One is told what it forgot.
    assert "1 executors were started and not shut down" in done.stdout
    # One sees its own line, not the kit's.
    assert "expected send(to='ada') at least once, found it 0 times" in done.stdout
    assert "enqueued.py:" not in done.stdout
    assert "1 failed" in done.stdout
    assert "1 error" in done.stdout


async def test_executors_share_the_storage_which_outlives_them(
    durable_executor: ExecutorFactory, durable_clock: FakeClock, durable_storage: MemoryStorage
) -> None:
    first = durable_executor(name="first", client_only=True)

    @first.task
    async def work() -> str:
        return "done"

    async with first:
        handle = await first.enqueue(work)
    second = durable_executor(tasks=first.tasks)
    async with second:
        await run_until_idle(second)
        assert await (await second.handle(work, handle.id)).result() == "done"
    assert "completed" in durable_storage.dump()
    assert durable_clock.monotonic() == 0


async def test_a_storage_of_ones_own_and_any_option_can_be_given(
    durable_executor: ExecutorFactory, durable_storage: MemoryStorage
) -> None:
    own = MemoryStorage()
    executor = durable_executor(own, lease=5, name="mine")

    @executor.task
    async def work() -> None: ...

    async with executor:
        assert (executor.id or "").startswith("mine.")
        await executor.enqueue(work)
        await run_until_idle(executor)
    assert durable_storage.dump() == MemoryStorage().dump()
