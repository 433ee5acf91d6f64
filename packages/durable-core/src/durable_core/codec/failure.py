"""Errors as bytes; the class lives below `durable_core.errors`, which shows it."""

from ..failure import ErrorInfo

__all__ = ["ErrorInfo"]
