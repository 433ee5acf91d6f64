"""Durable executions: a storage protocol, an engine that runs tasks on it, and a memory storage."""
