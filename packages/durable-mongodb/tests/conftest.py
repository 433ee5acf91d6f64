"""A MongoDB server for the tests of this folder: of each process its own, stopped at the end.

What PyMongo leaves to the garbage collector is not held against the tests here, nor against those
that come next: a connection that is cancelled while it is made or given up is never closed.
"""

import gc
import os
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest
import servers

_LEFT_BEHIND = pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Do not fail a test for what an earlier one's cancelled connection left behind."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(_LEFT_BEHIND)


@pytest.fixture(scope="module", autouse=True)
def collected() -> Generator[None]:
    """Collect what the tests of a module left behind."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


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
