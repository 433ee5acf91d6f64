"""Where figures come from: versions and machine, so that nobody compares what cannot be."""

import os
import platform
import sqlite3
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .measure import sync_ms

_STORAGES = ("mongodb", "mysql", "postgres", "redis", "sqlite")
_DRIVERS = ("aiomysql", "asyncmy", "asyncpg", "motor", "pymongo", "redis", "sqlalchemy")
_PACKAGES = (
    "durable-core",
    *(f"durable-{name}" for name in _STORAGES),
    *_DRIVERS,
    "pydantic",
    "pydantic-core",
)


def versions() -> Mapping[str, str]:
    """Return name → version of what takes part."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine(folder: Path) -> Mapping[str, str | int | float]:
    """Describe the machine.

    Args:
        folder: Where storages are kept; how long a durable write takes there decides a lot.
    """
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "system": platform.platform(),
        "implementation": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "processor": _processor(),
        "processors": os.cpu_count() or 1,
        "memory_gib": round(pages / 1024**3, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "durable_write_ms": round(sync_ms(folder), 3),
    }


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        for line in cpus.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
