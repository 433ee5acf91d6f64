"""Fixtures of the engine's tests."""

from collections.abc import AsyncIterator

import pytest

from .world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Return a world of executors; what still runs at the end is ended."""
    world = World()
    yield world
    await world.close()
