"""Storages that can do less."""

from dataclasses import replace

from durable_core.storage import Capabilities, MemoryStorage
from durable_core.storage.adapters import Forwarding


class Mute(Forwarding):
    """A storage that sends no hints."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, push=False)


class Small(Forwarding):
    """A storage that takes ten rows a call."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, max_batch_rows=10)


def mute_and_small(storage: MemoryStorage) -> Mute:
    """Return a storage that can do neither."""
    return Mute(Small(storage))


class LikesPieces(Forwarding):
    """A storage that takes many rows a call and likes five."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, best_batch_rows=5)
