"""A source of hints is there while anybody listens, and says why it cannot begin."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from durable_core.storage import Finished, Hint, Ready, Reconnected, StorageError, TemporaryError
from durable_core.storage.kit import Listeners, SharedSource


class Radio:
    """A source that has begun, or failed, when it is made."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.begun = asyncio.Event()
        self.begun.set()
        self.failure = failure
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


class Room:
    """Makes radios, and remembers them."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.listeners = Listeners()
        self.shared = SharedSource(self.listeners, self._make, self._explain)
        self.radios: list[Radio] = []
        self._failure = failure

    def on(self) -> bool:
        return self.shared.source is not None

    def _make(self) -> Radio:
        self.radios.append(Radio(self._failure))
        return self.radios[-1]

    def _explain(self, error: Exception) -> StorageError:
        return TemporaryError(f"no radio: {error}")


async def heard(hints: AsyncGenerator[Hint], number: int) -> list[Hint]:
    async with asyncio.timeout(30):
        return [await anext(hints) for _ in range(number)]


async def everything(hints: AsyncGenerator[Hint]) -> list[Hint]:
    return [hint async for hint in hints]


async def test_one_source_serves_all_and_ends_with_the_last() -> None:
    room = Room()
    async with aclosing(room.shared.listen(["a"])) as one:
        assert await heard(one, 1) == [Reconnected()]
        async with aclosing(room.shared.listen(["a", "b"])) as two:
            assert await heard(two, 1) == [Reconnected()]
            room.listeners.tell(["b", "a", "b"], finished=True)
            assert await heard(one, 2) == [Ready(queue="a"), Finished()]
            assert await heard(two, 3) == [Ready(queue="b"), Ready(queue="a"), Finished()]
        assert [radio.closed for radio in room.radios] == [0]
        assert room.on()
    assert [radio.closed for radio in room.radios] == [1]
    assert not room.on()
    async with aclosing(room.shared.listen(["a"])) as again:
        assert await heard(again, 1) == [Reconnected()]
        assert len(room.radios) == 2


async def test_a_source_that_cannot_begin() -> None:
    reason = OSError("no power")
    room = Room(reason)
    with pytest.raises(TemporaryError, match="no radio: no power") as raised:
        await heard(room.shared.listen(["a"]), 1)
    assert raised.value.__cause__ is reason
    assert [radio.closed for radio in room.radios] == [1]
    assert not room.listeners


async def test_a_listener_ends_when_its_storage_is_closed() -> None:
    room = Room()
    async with aclosing(room.shared.listen(["a"])) as hints:
        await heard(hints, 1)
        rest = asyncio.create_task(everything(hints))
        await asyncio.sleep(0)
        room.listeners.reconnected()
        room.listeners.tell(["c"], finished=False)
        await asyncio.sleep(0)
        await room.shared.close()
        async with asyncio.timeout(30):
            assert await rest == [Reconnected()]
    await room.shared.close()
    assert [radio.closed for radio in room.radios] == [1]
