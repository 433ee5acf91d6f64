"""Storages broken on purpose: each is caught by the check that is named after its fault."""

from collections.abc import Iterator

import broken_others
import broken_rows
import pytest
from broken_base import Broken, certifier
from broken_others import Wire, wired

from durable_conformance import StorageConformance
from durable_conformance.checking import checks_of
from durable_conformance.promises import PROMISES
from durable_conformance.settings import Settings, begin, end
from durable_core.storage import MemoryStorage

BROKEN = [
    kind
    for module in (broken_rows, broken_others)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Broken | Wire) and "promise" in vars(kind)
]


@pytest.fixture(autouse=True, params=[1, 2])
def seeded(request: pytest.FixtureRequest) -> Iterator[None]:
    begin(Settings(seed=request.param, rows=200))
    yield
    end()


def certifying(kind: type[Broken | Wire]) -> type[StorageConformance]:
    if issubclass(kind, Wire):
        return wired(kind)
    return certifier(kind)


def failures(author: type[StorageConformance], promise: str) -> list[Exception]:
    """Run the checks of a promise and return what the failing ones raised."""
    raised: list[Exception] = []
    for name, check in checks_of(author).items():
        if check.promise == promise:
            if check.hook is not None and not author.gives(check.hook):
                continue
            try:
                getattr(author(), name)()
            except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
                raised.append(error)
    return raised


@pytest.mark.parametrize("kind", BROKEN, ids=[kind.__name__ for kind in BROKEN])
def test_a_broken_storage_is_caught_by_name(kind: type[Broken | Wire]) -> None:
    raised = failures(certifying(kind), kind.promise)
    assert raised, f"{kind.fault}: no check of {kind.promise} noticed"
    for error in raised:
        assert isinstance(error, AssertionError), f"not judged but broken: {error!r}"
        assert any(note.startswith(f"{kind.promise} promises") for note in error.__notes__)


@pytest.mark.parametrize("promise", sorted({kind.promise for kind in BROKEN}))
def test_an_honest_storage_keeps_what_the_broken_ones_break(promise: str) -> None:
    assert promise in PROMISES
    for author in (certifier(MemoryStorage), wired(Wire)):
        assert failures(author, promise) == []
