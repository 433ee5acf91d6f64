"""Certify that a storage keeps the promises of the durable storage protocol."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .author import CallersTransaction, Cut
    from .base import StorageConformance

__all__ = ["CallersTransaction", "Cut", "StorageConformance"]

_HOMES = {"CallersTransaction": "author", "Cut": "author", "StorageConformance": "base"}


def __getattr__(name: str) -> Any:
    # Loaded on demand: pytest loads the plug-in in every project where the suite is installed, and
    # the checks must not be imported before the plug-in asked for their assertions to be rewritten.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
