"""The engine as the workloads drive it: real tasks on a real executor."""

from .fill import fill
from .quiet import handles, idle
from .subject import Engine
from .tasks import TASKS

__all__ = ["TASKS", "Engine", "fill", "handles", "idle"]
