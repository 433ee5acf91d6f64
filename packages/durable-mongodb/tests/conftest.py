"""A MongoDB server for the tests of this folder: of each process its own, stopped at the end."""

import os
from collections.abc import Generator

import pytest
import servers


@pytest.fixture(scope="session", autouse=True)
def mongodb_server() -> Generator[str]:
    """Start a server, unless the environment names one; without one, every test here fails."""
    with servers.mongodb.serve() as environment:
        os.environ.update(environment)
        try:
            yield os.environ[servers.mongodb.URL]
        finally:
            for name in environment:
                del os.environ[name]
