"""After everything has ended and was purged, nothing of it is left in the server."""

from typing import Any

from redis_hooks import plain_client, storage_in

from durable_core.storage import (
    Finish,
    Keep,
    NewExecution,
    OnCancel,
    Phase,
    Query,
    Release,
    Settle,
    Wake,
)
from durable_redis import RedisStorage

NOW = 2_000_000_000_000_000
HOUR = 3_600_000_000
LARGE = bytes(range(256)) * 8


def new(id_: str, **fields: Any) -> NewExecution:
    values: dict[str, Any] = {"task": "work", **fields}
    return NewExecution(id=id_, **values)


async def keys_of(storage: RedisStorage) -> set[str]:
    """Return what is in the namespace, without its prefix."""
    prefix = f"{{{storage._settings.namespace}}}:"
    async with plain_client() as client:
        keys = [key.decode() async for key in client.scan_iter(match=f"{prefix}*", count=5_000)]
    return {key.removeprefix(prefix) for key in keys}


async def _live(storage: RedisStorage) -> None:
    """Let one of everything live and end."""
    await storage.heartbeat(executor="anna", ttl=HOUR, now=NOW, register=True, info=b"info")
    await storage.heartbeat(executor="bela", ttl=1, now=NOW, register=True)
    large: dict[str, Any] = {"input": LARGE, "meta": LARGE, "options": LARGE, "state": LARGE}
    await storage.insert(
        items=[
            new("parent", key="k", tags=frozenset({"red", "blue"}), owner="anna", **large),
            new("plain", queue="other", priority=-7),
            new("unknown", task="nobody knows", priority=3),
            new("later", due=NOW + HOUR, group="g"),
            new("never", due=None),
            new("told", on_cancel=OnCancel.DELIVER),
            new("asleep", phase=Phase.SLEEPING, wake_key="bell", due=None),
            new("timed", phase=Phase.SLEEPING, wake_key="gong", due=NOW),
            new("builtin", task="$wake"),
            new("dead", owner="bela"),
            new("dead-marked", owner="bela"),
        ],
        now=NOW,
    )
    (parent,) = await storage.get(ids=["parent"])
    assert parent is not None
    kids = [
        new(f"kid{n}", parent_id="parent", root_id="parent", child_index=n, tags=frozenset({"red"}))
        for n in range(3)
    ]
    points = {"small": b"1", "large": LARGE}
    await storage.apply(
        items=[Keep(id="parent", token=parent.token, children=kids, checkpoints=points)], now=NOW
    )
    wakes = [
        Wake(task="work", wake_key="bell", request="r1", payload=LARGE),
        Wake(task="work", wake_key="nobody", request="r2"),
        Wake(task="work", wake_key="kept", request="r3", payload=LARGE, keep_until=NOW + HOUR),
        Wake(task="work", wake_key="expired", request="r4", payload=b"p", keep_until=NOW + 2),
    ]
    await storage.wake(items=wakes, now=NOW)
    early = new("woken-early", phase=Phase.SLEEPING, wake_key="kept", due=None)
    await storage.insert(items=[early], now=NOW)
    await storage.cancel(ids=["dead-marked", "told"], request="r", now=NOW)
    await storage.reap(now=NOW + 2, limit=100)


async def _end(storage: RedisStorage) -> None:
    """Finish what is claimable until nothing is, then cancel the rest."""
    item = Finish(
        id="parent", token=_token(await storage.get(ids=["parent"])), phase=Phase.FAILED,
        error=LARGE, output=LARGE,
    )  # fmt: skip
    await storage.apply(items=[item], now=NOW)
    for _ in range(3):
        claimed = await storage.claim(
            executor="anna", tasks=["work"], queues=["default", "other"], limit=100, now=NOW + HOUR
        )
        for row in claimed.records:
            if row.finished:
                await storage.apply(items=[Settle(id=row.id, token=row.token)], now=NOW)
            elif row.id == "plain":
                again = Release(
                    id=row.id, token=row.token, phase=Phase.READY, due=NOW + HOUR, priority=9,
                    state=LARGE, error=LARGE,
                )  # fmt: skip
                await storage.apply(items=[again], now=NOW)
            else:
                done = Finish(id=row.id, token=row.token, phase=Phase.COMPLETED, output=LARGE)
                await storage.apply(items=[done], now=NOW)
    left = [row.id for row in (await storage.find(query=Query(), limit=100)).items]
    await storage.cancel(ids=left, request="end", now=NOW)


def _token(rows: Any) -> Any:
    return rows[0].token


async def test_no_key_is_left() -> None:
    async with storage_in() as storage:
        assert await keys_of(storage) == {"schema"}
        await _live(storage)
        assert len(await keys_of(storage)) > 40
        await _end(storage)
        gone = 0
        for _ in range(5):
            gone += await storage.purge(finished_before=NOW * 2, now=NOW + 2 * HOUR, limit=4)
        assert gone == 15, "all that were inserted"
        await storage.heartbeat(executor="anna", ttl=0, now=NOW)
        assert await keys_of(storage) == {"schema"}


async def test_many_pages_of_what_must_stay() -> None:
    """A thousand finished children of a parent that goes on do not keep others from going."""
    async with storage_in() as storage:
        (answer,) = await storage.insert(items=[new("p", owner="anna")], now=NOW)
        for first in range(0, 1_000, 100):
            kids = [
                new(f"c{n}", parent_id="p", root_id="p", child_index=n, owner="anna")
                for n in range(first, first + 100)
            ]
            keep = Keep(id="p", token=answer.record.token, children=kids)
            await storage.apply(items=[keep], now=NOW)
            done = [
                Finish(id=kid.id, token=answer.record.token, phase=Phase.COMPLETED) for kid in kids
            ]
            await storage.apply(items=done, now=NOW)
        await storage.insert(items=[new(f"o{n}") for n in range(150)], now=NOW)
        await storage.cancel(ids=[f"o{n}" for n in range(150)], request="r", now=NOW + 1)
        assert await storage.purge(finished_before=NOW + 2, now=NOW, limit=1_000) == 150
        assert (await storage.count(query=Query()))["*"] == 1_001
        finish = Finish(id="p", token=answer.record.token, phase=Phase.COMPLETED)
        await storage.apply(items=[finish], now=NOW)
        assert await storage.purge(finished_before=NOW + 2, now=NOW, limit=10_000) == 1_001
        assert await keys_of(storage) == {"schema"}
