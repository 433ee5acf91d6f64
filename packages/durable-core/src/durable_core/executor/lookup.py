"""Finding, counting and deleting executions."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict, TypeVar, Unpack

from ..durations import Duration, to_us
from ..engine.engine import Engine
from ..errors import OptionError
from ..options import EnqueueOptions
from ..storage import CountBy, Query, Status
from ..tasks.task import Task
from .execution import Executions, execution_of

E = TypeVar("E", bound=StrEnum)


class Lookup(ABC):
    """Looks executions up; a base of `DurableExecutor`."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """The engine at work, for tools and tests."""

    async def find(
        self,
        *,
        statuses: Iterable[Status] | None = None,
        task: Task[..., Any] | str | None = None,
        queue: str | None = None,
        tags: Iterable[str] = (),
        parent_id: str | None = None,
        root_id: str | None = None,
        id_prefix: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Executions:
        """List executions; conditions are combined by AND.

        Args:
            statuses: Any of these.
            task: Of this task.
            queue: Served there.
            tags: With all of these.
            parent_id: Children of this execution.
            root_id: The tree below this execution, itself included.
            id_prefix: Ids that begin so.
            created_after: At or after; with a time zone.
            created_before: Before; with a time zone.
            limit: At most so many a page.
            cursor: From the page before.
        """
        query = _query(
            task,
            statuses,
            tags,
            created_after,
            created_before,
            queue=queue,
            parent_id=parent_id,
            root_id=root_id,
            id_prefix=id_prefix,
        )
        engine = self.engine
        page = await engine.writer.patiently(
            lambda: engine.storage.find(query=query, limit=limit, cursor=cursor)
        )
        return Executions(items=[execution_of(head) for head in page.items], cursor=page.cursor)

    async def count(
        self,
        *,
        by: CountBy | str | None = None,
        statuses: Iterable[Status] | None = None,
        task: Task[..., Any] | str | None = None,
        queue: str | None = None,
        tags: Iterable[str] = (),
        cap: int | None = None,
    ) -> dict[str, int]:
        """Count executions.

        Args:
            by: ``"status"``, ``"task"`` or ``"queue"``; None counts all, under the key ``"*"``.
            statuses: Any of these.
            task: Of this task.
            queue: Served there.
            tags: With all of these.
            cap: Stop counting there.
        """
        query = _query(task, statuses, tags, queue=queue)
        split = None if by is None else _one_of(CountBy, by, "by")
        engine = self.engine
        return dict(
            await engine.writer.patiently(
                lambda: engine.storage.count(query=query, by=split, cap=cap)
            )
        )

    async def purge(self, *, older_than: Duration) -> int:
        """Delete executions that finished longer ago than this; returns how many.

        Their ids and keys are free again. Children stay while their parent is unfinished.
        """
        return await self.engine.retention.purge(to_us(older_than, "older_than"))


class _Exactly(TypedDict, total=False):
    queue: str | None
    parent_id: str | None
    root_id: str | None
    id_prefix: str | None


def _query(
    task: Task[..., Any] | str | None,
    statuses: Iterable[Status] | None,
    tags: Iterable[str],
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    **exactly: Unpack[_Exactly],
) -> Query:
    name = task.name if isinstance(task, Task) else task
    return Query(
        statuses=(
            None
            if statuses is None
            else frozenset(_one_of(Status, status, "statuses") for status in statuses)
        ),
        tasks=None if name is None else frozenset({name}),
        tags=frozenset(tags),
        created_from=_since_epoch(created_after),
        created_before=_since_epoch(created_before),
        **exactly,
    )


def _since_epoch(moment: datetime | None) -> int | None:
    return EnqueueOptions(start_at=moment).start_at_us


def _one_of(kind: type[E], value: str, what: str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(member.value) for member in kind)
        msg = f"{what}: {value!r} is none of {known}"
        raise OptionError(msg) from None
