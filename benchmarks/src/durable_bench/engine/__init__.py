"""The engine as the workloads drive it: real tasks on a real executor."""

from .backlog import backlog
from .fill import fill
from .quiet import handles, idle
from .subject import Engine
from .tasks import TASKS

__all__ = ["TASKS", "Engine", "backlog", "fill", "handles", "idle"]
