"""Fixtures of the engine's tests."""

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite(f"{__package__}.rules_running", f"{__package__}.rules_writing")

from .world import World  # noqa: E402 - the rules are rewritten first


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Return a world of executors; what still runs at the end is ended."""
    world = World()
    yield world
    await world.close()
