"""The servers for the tests of this folder: of each process its own, stopped at the end."""

import os
from collections.abc import Generator

import pytest
import servers


@pytest.fixture(scope="session", autouse=True)
def mysql_servers() -> Generator[None]:
    """Start both, unless the environment names one; without them, every test here fails."""
    with servers.mariadb.serve() as mariadb, servers.mysql.serve() as mysql:
        environment = {**mariadb, **mysql}
        os.environ.update(environment)
        try:
            yield
        finally:
            for name in environment:
                del os.environ[name]


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> str:
    """The name of each of the servers in turn."""
    name: str = request.param
    return name
