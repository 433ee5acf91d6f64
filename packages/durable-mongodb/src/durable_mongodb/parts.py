"""Cutting a call into transactions: large ones, and those that somebody is always in the way of.

Each item of a call is a commit of its own as far as the protocol is concerned; to commit many
together is only quicker.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from .errors import too_large_for_cache, undone
from .session import Session

T = TypeVar("T")
A = TypeVar("A")

_BYTES: Final = 4 * 1024 * 1024
"""Payload bytes that a transaction writes, unless a single item has more.

All that a transaction writes stays in the server's cache until it ends, next to the log of it; a
server with the smallest cache that can be configured undoes transactions from some 20 MiB on.
"""

_ATTEMPTS: Final = 8
"""How often several items are tried together."""


async def in_transactions(
    session: Session,
    items: Sequence[T],
    work: Callable[[Sequence[T]], Awaitable[Sequence[A]]],
    size: Callable[[T], int],
) -> list[A]:
    """Carry out items in order, as many in a transaction as is wise.

    Args:
        session: In no transaction.
        items: What to do.
        work: Does some of them in the session's transaction, and answers each.
        size: Returns the payload bytes of an item.
    """
    answers: list[A] = []
    parts = list(reversed(_by_size(items, size)))
    while parts:
        part = parts.pop()

        async def together(some: Sequence[T] = part) -> Sequence[A]:
            return await work(some)

        alone = len(part) == 1
        try:
            answers += await session.transact(together, attempts=None if alone else _ATTEMPTS)
        except Exception as error:
            if alone or session.doubt or not (undone(error) or too_large_for_cache(error)):
                raise
            half = len(part) // 2
            parts += [part[half:], part[:half]]
    return answers


def _by_size(items: Sequence[T], size: Callable[[T], int]) -> list[Sequence[T]]:
    """Return consecutive parts of limited size; no empty one."""
    parts: list[list[T]] = []
    room = 0
    for item in items:
        needed = size(item)
        if not parts or needed > room:
            parts.append([])
            room = _BYTES
        parts[-1].append(item)
        room -= needed
    return list(parts)
