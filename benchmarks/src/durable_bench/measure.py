"""Clocks, percentiles and memory."""

import ctypes
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

_MIB = 1024 * 1024


def percentile(ascending: Sequence[float], per_cent: float) -> float:
    """Return the value that so many per cent do not exceed (nearest rank).

    Args:
        ascending: At least one value, sorted.
        per_cent: Above 0, at most 100.
    """
    rank = math.ceil(len(ascending) * per_cent / 100)
    return ascending[max(rank, 1) - 1]


def resident_mb() -> float:
    """Return this process's resident set in MiB."""
    status = _status("VmRSS")
    return peak_mb() if status is None else status


def peak_mb() -> float:
    """Return the largest resident set that this process ever had, in MiB."""
    # Not `getrusage` where there is a choice: Linux hands its figure on from parent to child.
    status = _status("VmHWM")
    if status is not None:
        return status
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024


def _status(name: str) -> float | None:
    file = Path("/proc/self/status")
    if not file.exists():
        return None
    for line in file.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return None


def allocated_mb() -> float | None:
    """Return the memory in use inside this process's allocators in MiB; None where unknown.

    Unlike the resident set it does not hide what is put into room that was freed before.
    """
    outside = _malloc_bytes()
    return None if outside is None else (outside + _small_object_bytes()) / _MIB


class _Mallinfo2(ctypes.Structure):
    """The C library's answer, ten sizes."""

    _fields_: ClassVar[Any] = (("sizes", ctypes.c_size_t * 10),)


_MAPPED, _IN_USE = 4, 7
"""Which of the sizes: blocks with a mapping of their own, and all others that are in use."""


def _malloc_bytes() -> int | None:
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return None
    mallinfo2.restype = _Mallinfo2
    sizes: list[int] = list(mallinfo2().sizes)
    return sizes[_MAPPED] + sizes[_IN_USE]


def _small_object_bytes() -> int:
    """Return what Python's allocator for small objects has given out."""
    with tempfile.TemporaryFile() as file:
        # Only printed, and only to the standard error stream's descriptor.
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        for line in file.read().decode("ascii", "replace").splitlines():
            if line.startswith("# bytes in allocated blocks"):
                return int(line.rpartition("=")[2].replace(",", ""))
    return 0


def sync_ms(folder: Path, writes: int = 100) -> float:
    """Return the median time of a small durable write in a folder, in milliseconds.

    Args:
        folder: Where a temporary file is made.
        writes: How many to try.
    """
    times: list[float] = []
    sync = getattr(os, "fdatasync", os.fsync)
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(writes):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            sync(file.fileno())
            times.append(time.perf_counter() - start)
    return percentile(sorted(times), 50) * 1_000
