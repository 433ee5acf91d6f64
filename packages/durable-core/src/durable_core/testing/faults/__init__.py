"""A storage that fails on purpose, in the same way for the same seed.

    >>> storage = FaultyStorage(MemoryStorage(), On("apply", Fault.lost_answer(), nth=3))

carries out the third `apply` and raises `OutcomeUnknownError` instead of its answer.
"""

from .fault import Fault, Gate, KilledError
from .plans import WRITES, LoggedCall, On, Plan, Randomly
from .storage import FaultyStorage

__all__ = [
    "WRITES",
    "Fault",
    "FaultyStorage",
    "Gate",
    "KilledError",
    "LoggedCall",
    "On",
    "Plan",
    "Randomly",
]
