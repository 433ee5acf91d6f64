"""Durable executions: a storage protocol, an engine that runs tasks on it, and a memory storage."""

from .codec import Codec, JsonSerializer, Serializer, compressed
from .engine.hooks import Hooks
from .engine.log_hooks import LoggingHooks
from .errors import (
    ChildrenFailedError,
    DurableError,
    EventConflictError,
    EventTimeoutError,
    ExecutionCancelledError,
    ExecutionError,
    ExecutionFailedError,
    ExecutionNotFoundError,
    ExecutionTimedOutError,
    ExpectedError,
    FinalizeFailedError,
    IdConflictError,
    InputError,
    NonRetryableError,
    NotRunningError,
    OptionError,
    OutputError,
    PayloadTooLargeError,
    PlanAbortedError,
    RecordMismatchError,
    RecordTooLargeError,
    StepFailedError,
    TaskDefinitionError,
    UnknownTaskError,
    WaitTimeoutError,
    WorkflowError,
)
from .executor import BoundExecutor, DurableExecutor, Execution, Executions, Handle
from .failure import ErrorInfo
from .options import RetryPolicy
from .storage import CancelOutcome, MemoryStorage, Status, Storage, StorageError, WakeOutcome
from .storage.adapters import MethodMetrics
from .tasks.context import Context, current
from .tasks.events import Event
from .tasks.kinds import LoopTask, ParentTask, SequenceTask, SleepingTask
from .tasks.plan import PlanResult, PlanStep, PlanTask
from .tasks.plan_view import PlanView, StepResult, StepState
from .tasks.registry import Tasks
from .tasks.results import Abort, Again, ChildResult, Done, FanOut, Joined, LoopResult, ParentResult
from .tasks.signal import Signal
from .tasks.task import AsyncTask, Call, SyncTask, Task
from .tasks.workflow import WorkflowContext
from .tasks.workflow_task import WorkflowTask

__version__ = "0.1.0"

__all__ = [
    "Abort",
    "Again",
    "AsyncTask",
    "BoundExecutor",
    "Call",
    "CancelOutcome",
    "ChildResult",
    "ChildrenFailedError",
    "Codec",
    "Context",
    "Done",
    "DurableError",
    "DurableExecutor",
    "ErrorInfo",
    "Event",
    "EventConflictError",
    "EventTimeoutError",
    "Execution",
    "ExecutionCancelledError",
    "ExecutionError",
    "ExecutionFailedError",
    "ExecutionNotFoundError",
    "ExecutionTimedOutError",
    "Executions",
    "ExpectedError",
    "FanOut",
    "FinalizeFailedError",
    "Handle",
    "Hooks",
    "IdConflictError",
    "InputError",
    "Joined",
    "JsonSerializer",
    "LoggingHooks",
    "LoopResult",
    "LoopTask",
    "MemoryStorage",
    "MethodMetrics",
    "NonRetryableError",
    "NotRunningError",
    "OptionError",
    "OutputError",
    "ParentResult",
    "ParentTask",
    "PayloadTooLargeError",
    "PlanAbortedError",
    "PlanResult",
    "PlanStep",
    "PlanTask",
    "PlanView",
    "RecordMismatchError",
    "RecordTooLargeError",
    "RetryPolicy",
    "SequenceTask",
    "Serializer",
    "Signal",
    "SleepingTask",
    "Status",
    "StepFailedError",
    "StepResult",
    "StepState",
    "Storage",
    "StorageError",
    "SyncTask",
    "Task",
    "TaskDefinitionError",
    "Tasks",
    "UnknownTaskError",
    "WaitTimeoutError",
    "WakeOutcome",
    "WorkflowContext",
    "WorkflowError",
    "WorkflowTask",
    "compressed",
    "current",
]
