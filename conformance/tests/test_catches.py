"""Storages broken on purpose: each is caught by the check that is named after its fault."""

from collections.abc import Iterator
from types import ModuleType

import broken_bound
import broken_hooked
import broken_others
import broken_rows
import fine_calls
import fine_rows
import pytest
import weak_calls
import weak_families
import weak_reads
import weak_rows
from broken_base import Broken
from broken_bound import Bound
from broken_hooked import Hooked
from broken_others import Wire

from durable_conformance import StorageConformance, ear
from durable_conformance.checking import checks_of
from durable_conformance.checks import bind
from durable_conformance.promises import PROMISES
from durable_conformance.settings import Settings, begin, end
from durable_core.storage import StorageError

# A check fails by its own assertions, or by an error of the storage where there must be none.
JUDGED = (AssertionError, pytest.fail.Exception, StorageError)


def kinds(*modules: ModuleType) -> list[type[Broken | Wire]]:
    """Return the storages of some modules that say which promise they break."""
    return [
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Broken | Wire) and "promise" in vars(kind)
    ]


BROKEN = [
    *kinds(broken_rows, broken_others, broken_bound, broken_hooked),
    *kinds(weak_rows, weak_families, weak_calls, weak_reads),
    *kinds(fine_rows, fine_calls),
]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ear, "PATIENCE", 1.0)
    monkeypatch.setattr(bind, "_BLOCKED", 0.2)
    begin(Settings(seed=1, rows=200))
    yield
    end()


def failure(author: type[StorageConformance], check: str) -> BaseException | None:
    """Run a check and return what it raised if it failed."""
    try:
        getattr(author(), check)()
    except pytest.skip.Exception:
        return None
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the tests look at it
        return error
    return None


def failures(author: type[StorageConformance], promise: str | None = None) -> list[BaseException]:
    """Run the checks of a promise, or all, and return what the failing ones raised."""
    names = [name for name, one in checks_of(author).items() if promise in {None, one.promise}]
    raised = [failure(author, name) for name in names]
    return [error for error in raised if error is not None]


@pytest.mark.parametrize("kind", BROKEN, ids=[kind.__name__ for kind in BROKEN])
def test_a_broken_storage_is_caught_by_name(kind: type[Broken | Wire]) -> None:
    raised = failures(kind.author(), kind.promise)
    assert raised, f"{kind.fault}: no check of {kind.promise} noticed"
    for error in raised:
        assert isinstance(error, JUDGED), f"not judged but broken: {error!r}"
        assert any(note.startswith(f"{kind.promise} promises") for note in error.__notes__)


@pytest.mark.parametrize("kind", [Broken, Wire, Bound, Hooked])
def test_what_they_are_made_of_is_honest(kind: type[Broken | Wire]) -> None:
    assert failures(kind.author()) == []


def test_every_promise_is_broken_by_somebody() -> None:
    assert {kind.promise for kind in BROKEN} == set(PROMISES)


SUITE = checks_of(StorageConformance)


@pytest.mark.parametrize("name", SUITE)
def test_every_check_can_fail(name: str) -> None:
    own = [kind for kind in BROKEN if kind.promise == SUITE[name].promise]
    assert any(isinstance(failure(kind.author(), name), JUDGED) for kind in own)
