"""Each storage in turn: `place` is an empty namespace of it."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import servers
from workflow_targets import TARGETS, Place, use_folder


@pytest.fixture(scope="session", params=list(TARGETS))
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Start the target's server if it needs one; without one, its tests fail."""
    name: str = request.param
    before = dict(os.environ)
    folder: Path = tmp_path_factory.mktemp("storages")
    use_folder(folder)
    # How long it keeps the transactions of those who are killed here: a minute, by itself.
    os.environ[servers.mongodb.OPTIONS] = "--setParameter transactionLifetimeLimitSeconds=10"
    with servers.servers([name]) as environment:
        os.environ.update(environment)
        try:
            yield name
        finally:
            for key in set(os.environ) - set(before):
                del os.environ[key]
            os.environ.update(before)


@pytest.fixture
async def place(target: str) -> AsyncIterator[Place]:
    """Return an empty namespace of the target."""
    place = Place(target)
    yield place
    await place.drop()
