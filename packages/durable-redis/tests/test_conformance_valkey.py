"""Valkey keeps every promise of the storage protocol."""

from redis_hooks import RedisHooks

from durable_conformance import StorageConformance


class TestValkey(RedisHooks, StorageConformance):
    room = "VALKEY"
