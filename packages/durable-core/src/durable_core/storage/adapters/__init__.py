"""Storages made of storages: one call at a time, item by item, measured, retried."""

from .forwarding import Forwarding
from .metered import Metered, MethodMetrics
from .one_by_one import OneByOne, SingleItemStorage
from .optional import HasCapabilities, binder_of, leases_of, listener_of, pulse_of
from .retrying import Backoff, Retrying
from .serialized import Serialized
from .wrapper import METHODS, MethodName, Wrapper

__all__ = [
    "METHODS",
    "Backoff",
    "Forwarding",
    "HasCapabilities",
    "Metered",
    "MethodMetrics",
    "MethodName",
    "OneByOne",
    "Retrying",
    "Serialized",
    "SingleItemStorage",
    "Wrapper",
    "binder_of",
    "leases_of",
    "listener_of",
    "pulse_of",
]
