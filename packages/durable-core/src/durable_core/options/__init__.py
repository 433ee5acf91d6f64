"""Options of tasks and of single executions, checked where they are written."""

from .policy import Policy
from .retry import MAX_MULTIPLIER, MAX_RETRIES, RetryPolicy
from .task import EnqueueOptions, TaskOptions

__all__ = [
    "MAX_MULTIPLIER",
    "MAX_RETRIES",
    "EnqueueOptions",
    "Policy",
    "RetryPolicy",
    "TaskOptions",
]
