"""Behind PgBouncer in transaction mode, where two statements may meet two servers."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import servers
from postgres_hooks import server_url, storage_in
from sqlalchemy.engine import URL

from durable_core.storage import (
    Finish,
    Keep,
    NewExecution,
    Phase,
    Query,
    Token,
    Wake,
)

NOW = 2_000_000_000_000_000

_SETTINGS = """
[databases]
postgres = host={host} port={port} dbname={database} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


@asynccontextmanager
async def pooler() -> AsyncGenerator[URL]:
    program = servers.postgres.pgbouncer()
    assert program, "PgBouncer is missing: install it with `sudo apt-get install pgbouncer`"
    url = server_url()
    port = servers.free_port()
    user = servers.other_user()
    with tempfile.TemporaryDirectory() as name:
        file = _settings(Path(name), url, port)
        process = await asyncio.create_subprocess_exec(
            program, "-q", str(file), user=user, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await _listens(port)
            yield url.set(host="127.0.0.1", port=port)
        finally:
            process.kill()
            await process.wait()


def _settings(folder: Path, url: URL, port: int) -> Path:
    folder.chmod(0o755)
    file = folder / "pgbouncer.ini"
    text = _SETTINGS.format(
        host=url.host, port=url.port, database=url.database, user=url.username, own=port
    )
    file.write_text(text, encoding="utf-8")
    return file


async def _listens(port: int) -> None:
    for _ in range(500):
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.01)
    pytest.fail("PgBouncer did not start")


async def test_everything_but_hints() -> None:
    """Many calls at once over two servers: none meets a prepared statement of another."""
    async with pooler() as url, storage_in(url, pooler=True) as storage:
        capabilities = storage.capabilities
        assert (capabilities.push, capabilities.pulse, capabilities.bind) == (False, True, True)
        with pytest.raises(NotImplementedError, match="pooler"):
            storage.listen(queues=["default"])

        async def one(number: int) -> None:
            item = NewExecution(id=f"p{number}", task="work", owner="anna")
            await storage.insert(items=[item], now=NOW)
            token = Token("anna", 1)
            child = NewExecution(
                id=f"p{number}.0", task="kid", parent_id=item.id, root_id=item.id, due=0
            )
            await storage.apply(items=[Keep(id=item.id, token=token, children=[child])], now=NOW)
            wake = Wake(task="work", wake_key=f"{number}", request="r", keep_until=NOW * 2)
            await storage.wake(items=[wake], now=NOW)
            done = Finish(id=item.id, token=token, phase=Phase.COMPLETED)
            (answer,) = await storage.apply(items=[done], now=NOW)
            assert answer.outcome.value == "applied"

        await asyncio.gather(*[one(number) for number in range(40)])
        claimed = await storage.claim(
            executor="bela", tasks=["kid"], queues=["default"], limit=100, now=NOW
        )
        assert len(claimed.records) == 80, "children, and the duties of their parents"
        assert (await storage.count(query=Query()))["*"] == 80
        await storage.heartbeat(executor="anna", ttl=10, now=NOW, register=True)
        pulse = storage.pulse()
        beat = await asyncio.to_thread(pulse.beat, executor="anna", ttl=10_000_000, now=NOW)
        await asyncio.to_thread(pulse.close)
        assert beat.alive
