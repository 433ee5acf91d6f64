"""The examples of a document share one namespace, so pytest-xdist has to keep them together."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling, Scheduling


class ByDocument(LoadGroupScheduling):
    """Sends all examples of a document to one process, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.endswith(".md") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Group documents where the `tests` session distributes by groups."""
    return ByDocument(config, log) if config.option.dist == "loadgroup" else None
