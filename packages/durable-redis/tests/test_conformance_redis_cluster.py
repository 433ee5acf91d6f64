"""A Redis Cluster keeps every promise of the storage protocol."""

from redis_hooks import RedisHooks

from durable_conformance import StorageConformance


class TestRedisCluster(RedisHooks, StorageConformance):
    room = "REDIS_CLUSTER"
    cluster = True
