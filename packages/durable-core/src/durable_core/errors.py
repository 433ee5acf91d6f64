"""The root of every exception that durable raises on purpose."""


class DurableError(Exception):
    """Base class of all errors raised by durable and its storages."""
