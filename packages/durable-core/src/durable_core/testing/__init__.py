"""Helpers for users' own tests: a fake clock, run-until-idle, assert-enqueued, faults.

`FaultyStorage` and its like are in `durable_core.testing.faults`; the fixtures of the pytest
plugin (`durable_clock`, `durable_storage`, `durable_executor`) are there as soon as durable-core is
installed.
"""

from .clock import FakeClock, settle
from .enqueued import Enqueued, assert_enqueued, enqueued
from .factory import ExecutorFactory
from .idle import NotIdleError, advance, run_until_idle

__all__ = [
    "Enqueued",
    "ExecutorFactory",
    "FakeClock",
    "NotIdleError",
    "advance",
    "assert_enqueued",
    "enqueued",
    "run_until_idle",
    "settle",
]
