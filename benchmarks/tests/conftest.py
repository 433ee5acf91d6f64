"""Servers for the storages that need one: of each process its own, started when first needed."""

import asyncio
import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
import servers

from durable_bench.rooms import ROOMS, Place, Room, room_of

MakePlace = Callable[[str], Place]
"""Takes a target and returns a place that is empty."""


@pytest.fixture(scope="session")
def serve() -> Generator[Callable[[str], None]]:
    """Start a target's server, unless it has none or runs already."""
    started: set[str] = set()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        def start(target: str) -> None:
            if target not in started and target in servers.ROOMS:
                for name, value in stack.enter_context(servers.servers([target])).items():
                    patch.setitem(os.environ, name, value)
            started.add(target)

        yield start


@pytest.fixture
def make_place(serve: Callable[[str], None], tmp_path: Path) -> Generator[MakePlace]:
    made: list[tuple[Room, Place]] = []

    def make(target: str) -> Place:
        serve(target)
        room, place = room_of(target), Place(tmp_path / f"place-{len(made)}")
        place.folder.mkdir()
        asyncio.run(room.create(place))
        made.append((room, place))
        return place

    yield make
    for room, place in made:
        asyncio.run(room.drop(place))


@pytest.fixture(params=list(ROOMS))
def target(request: pytest.FixtureRequest) -> str:
    """Each storage in turn."""
    name: str = request.param
    return name


@pytest.fixture(params=[name for name in ROOMS if name != "memory"])
def shared_target(request: pytest.FixtureRequest) -> str:
    """Each storage in turn that several processes can share."""
    name: str = request.param
    return name
