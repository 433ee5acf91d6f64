"""A check: an `async` method that judges a promise, made into a plain method that pytest runs."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Final, TypeVar

# What `pytest.fail` and `pytest.skip` raise; their public names are no types.
from _pytest.outcomes import Failed, Skipped

from .author import Author
from .promises import PROMISES, Hook, Level
from .settings import current
from .stage import Stage

_MARK: Final = "__durable_check__"

AuthorT = TypeVar("AuthorT", bound=Author)


class _LeftOut(Skipped):
    # So that pytest shows the name without the module, as it does for its own `Skipped`.
    __module__ = "builtins"

    def __init__(self, reason: str) -> None:
        super().__init__(reason, _use_item_location=True)


class NotDeclared(_LeftOut):
    """The check does not apply: the storage does not declare the capability."""

    __module__ = "builtins"


class NotGiven(_LeftOut):
    """The check cannot be run: the author's class does not give what it takes."""

    __module__ = "builtins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a check says of itself.

    Attributes:
        name: The method's name.
        promise: The promise that it judges.
        level: The level that it belongs to.
        requires: The capability without which it does not apply.
        hook: What the author must give.
    """

    name: str
    promise: str
    level: Level
    requires: str | None
    hook: Hook | None


def promises(
    promise_id: str, *, level: Level | None = None, hook: Hook | None = None
) -> Callable[
    [Callable[[AuthorT, Stage], Coroutine[object, object, None]]], Callable[[AuthorT], None]
]:
    """Make a coroutine method the check of a promise.

    The result is a plain method, so that it runs whatever plug-ins for asynchronous tests the
    author's project has, or has not.

    Args:
        promise_id: Such as ``CLAIM-3``; the check's name must begin with ``test_claim_3_``.
        level: The level that it belongs to; the promise's own by default.
        hook: What the author must give; by default what the promise says.
    """
    promise = PROMISES[promise_id]
    prefix = f"test_{promise.area.lower()}_{promise.number}_"

    def decorate(
        function: Callable[[AuthorT, Stage], Coroutine[object, object, None]],
    ) -> Callable[[AuthorT], None]:
        if not function.__name__.startswith(prefix):
            msg = f"the check of {promise_id} must be named {prefix}..., not {function.__name__}"
            raise ValueError(msg)
        check = Check(
            name=function.__name__,
            promise=promise_id,
            level=level or promise.level,
            requires=promise.requires,
            hook=hook or promise.hook,
        )

        def run(self: AuthorT) -> None:
            __tracebackhide__ = True
            _run(self, check, function)

        run.__name__ = function.__name__
        run.__qualname__ = function.__qualname__
        run.__module__ = function.__module__
        run.__doc__ = function.__doc__
        setattr(run, _MARK, check)
        return run

    return decorate


def checks_of(suite: type) -> dict[str, Check]:
    """Return the checks that a class has, by name, in the order of the promise table."""
    found = {
        name: check
        for name in dir(suite)
        if isinstance(check := getattr(getattr(suite, name), _MARK, None), Check)
    }
    order = {id_: place for place, id_ in enumerate(PROMISES)}
    return dict(sorted(found.items(), key=lambda pair: (order[pair[1].promise], pair[0])))


def _run(
    author: AuthorT,
    check: Check,
    function: Callable[[AuthorT, Stage], Coroutine[object, object, None]],
) -> None:
    __tracebackhide__ = True
    try:
        # A loop of its own factory: the policy's current loop, which others may use, stays.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(_judge(author, check, function))
    except (NotDeclared, NotGiven):
        raise
    except (Exception, Failed) as error:
        promise = PROMISES[check.promise]
        error.add_note(f"{promise.id} promises: {promise.text}")
        error.add_note(f"(seed {current().seed})")
        error.__traceback__ = _from(error.__traceback__, function.__code__)
        raise


async def _judge(
    author: AuthorT,
    check: Check,
    function: Callable[[AuthorT, Stage], Coroutine[object, object, None]],
) -> None:
    async with (
        asyncio.timeout(current().timeout),
        Stage.open(author, check.name.removeprefix("test_")) as stage,
    ):
        if check.requires is not None and not stage.declares(check.requires):
            raise NotDeclared(f"the storage does not declare {check.requires!r}")
        if check.hook is not None and not author.gives(check.hook):
            raise NotGiven(f"{type(author).__name__} does not give {check.hook.value}()")
        await function(author, stage)


def _from(traceback: TracebackType | None, code: object) -> TracebackType | None:
    """Return the traceback from the check's own frame on, if it got there."""
    found = traceback
    while found is not None and found.tb_frame.f_code is not code:
        found = found.tb_next
    return found or traceback
