"""The storage that keeps everything in memory."""

from .storage import MemoryStorage

__all__ = ["MemoryStorage"]
