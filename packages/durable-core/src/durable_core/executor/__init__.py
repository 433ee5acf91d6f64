"""What users hold in their hands: the executor, handles and snapshots."""

from .bound import BoundExecutor
from .execution import Execution, Executions
from .executor import DurableExecutor
from .handle import Handle

__all__ = ["BoundExecutor", "DurableExecutor", "Execution", "Executions", "Handle"]
