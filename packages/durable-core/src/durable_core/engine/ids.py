"""Ids of executions: ordered by time, so that B-trees grow at one end."""

import hashlib
import os
import re


def new_id(now: int) -> str:
    """Return a new execution id: 12 hexadecimal digits of milliseconds, then 80 random bits.

    The layout is that of a UUID of version 7 (RFC 9562, section 5.7).

    Args:
        now: The storage's time, µs.
    """
    return _layout(now, os.urandom(10).hex())


def child_id(parent_id: str, parent_created_at: int, index: int) -> str:
    """Return the id of a parent's child: always the same one, so that inserting twice is once.

    Args:
        parent_id: The parent.
        parent_created_at: Its time, µs; children sort beside their parent.
        index: The child's place; -1 for the finalizer.
    """
    seed = f"{parent_id}\0{index}".encode()
    return _layout(parent_created_at, hashlib.blake2b(seed, digest_size=10).hexdigest())


def _layout(now: int, tail: str) -> str:
    head = f"{now // 1000:012x}"
    variant = "89ab"[int(tail[4], 16) & 3]
    return f"{head[:8]}-{head[8:12]}-7{tail[1:4]}-{variant}{tail[5:8]}-{tail[8:20]}"


def new_owner(name: str) -> str:
    """Return the id of a new incarnation of an executor: its name and 48 random bits.

    A restarted executor is never taken for the one before it (protocol finding F14).
    """
    printable = re.sub(r"[^\x21-\x7e]", "-", name[:40])
    return f"{printable}.{os.urandom(6).hex()}"


def new_request() -> str:
    """Return the id of a request to wake or cancel."""
    return f"request.{os.urandom(12).hex()}"
