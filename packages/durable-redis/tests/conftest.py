"""Servers for the tests of this folder: of each process its own, stopped at the end."""

import os
from collections.abc import Generator

import pytest
import servers

_ROOMS = {
    "test_conformance_valkey": "valkey_server",
    "test_conformance_redis_cluster": "cluster_server",
    "test_cluster": "cluster_server",
}
"""Tests that need another server than Redis."""


def _served(room: servers.Room) -> Generator[None]:
    with room.serve() as environment:
        os.environ.update(environment)
        try:
            yield
        finally:
            for name in environment:
                del os.environ[name]


@pytest.fixture(scope="session")
def redis_server() -> Generator[None]:
    """Start Redis, unless the environment names it; without it, every test that needs it fails."""
    yield from _served(servers.redis)


@pytest.fixture(scope="session")
def valkey_server() -> Generator[None]:
    """Start Valkey, unless the environment names it."""
    yield from _served(servers.valkey)


@pytest.fixture(scope="session")
def cluster_server() -> Generator[None]:
    """Start a cluster, unless the environment names one."""
    yield from _served(servers.redis_cluster)


@pytest.fixture(scope="module", autouse=True)
def server_of_the_module(request: pytest.FixtureRequest) -> None:
    """Start the server that a module of tests needs."""
    request.getfixturevalue(_ROOMS.get(request.path.stem, "redis_server"))
