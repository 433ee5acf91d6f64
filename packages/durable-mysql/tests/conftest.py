"""The servers for the tests of this folder: of each process its own, stopped at the end."""

import os
from collections.abc import Generator

import pytest
import servers

_ONLY = {
    "test_conformance": ["mysql_server"],
    "test_conformance_mariadb": ["mariadb_server"],
}
"""Tests that need one of the servers; others need both."""


def _served(room: servers.Room) -> Generator[None]:
    with room.serve() as environment:
        os.environ.update(environment)
        try:
            yield
        finally:
            for name in environment:
                del os.environ[name]


@pytest.fixture(scope="session")
def mysql_server() -> Generator[None]:
    """Start MySQL, unless the environment names it; without it, every test that needs it fails."""
    yield from _served(servers.mysql)


@pytest.fixture(scope="session")
def mariadb_server() -> Generator[None]:
    """Start MariaDB, unless the environment names it."""
    yield from _served(servers.mariadb)


@pytest.fixture(scope="module", autouse=True)
def servers_of_the_module(request: pytest.FixtureRequest) -> None:
    """Start what a module of tests needs."""
    for name in _ONLY.get(request.path.stem, ["mysql_server", "mariadb_server"]):
        request.getfixturevalue(name)


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> str:
    """The name of each of the servers in turn."""
    name: str = request.param
    return name
