"""The reference says what the code says."""

import builtins
import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import get_type_hints

import durable_core
from durable_core import errors, storage
from durable_core.options import TaskOptions
from durable_core.storage import adapters, errors as storage_errors
from durable_core.tasks.definitions import Options

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
_ROW = re.compile(r"^\| (.+?) \| (.+) \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
_CHECKED = re.compile(r"<!-- checked: (\S+) -->\n\n((?:\|.*\n)+)")
_DOTTED = re.compile(r"(?:storage\.)?(?:adapters\.)?[A-Z]\w*(?:\.\w+)*|storage\.[A-Z_]+")
# What a default looks like in words, where code has a marker or None instead.
_IN_WORDS: dict[str, tuple[object, ...]] = {
    "any": (None,),
    "none": ((), frozenset[str]()),
    "one day": (timedelta(days=1),),
}


def text_of(document: str) -> str:
    """Return a page of the reference."""
    return (REFERENCE / document).read_text("utf-8")


def rows(text: str) -> Iterator[tuple[str, str]]:
    """Yield first cell and the rest of each row of the tables, without their heads."""
    for first, rest in _ROW.findall(text):
        if set(first) != {"-"}:
            yield first, rest


def found(dotted: str) -> object:
    """Return what a dotted name stands for.

    Raises:
        AttributeError: Nothing of that name exists.
    """
    here: object = durable_core
    if dotted.startswith("storage."):
        here, dotted = storage, dotted.removeprefix("storage.")
        if dotted.startswith("adapters."):
            here, dotted = adapters, dotted.removeprefix("adapters.")
    elif dotted.partition(".")[0] in {"Head", "Record"}:
        here = storage
    for name in dotted.split("."):
        if is_dataclass(here) and name in {field.name for field in fields(here)}:
            return None
        if inspect.isclass(here) and name in documented_attributes(here):
            return None
        here = getattr(here, name)
    return here


def documented_attributes(cls: type) -> set[str]:
    """Return the names under Attributes in the docstring of a class."""
    section = (inspect.getdoc(cls) or "").partition("Attributes:")[2]
    return set(re.findall(r"^ {4}(\w+):", section, re.MULTILINE))


def declared(dotted: str) -> dict[str, object]:
    """Return the options of a callable with their defaults; `inspect.Parameter.empty`: required."""
    thing = found(dotted.removeprefix("durable_core."))
    if is_dataclass(thing):
        return {
            field.name: inspect.Parameter.empty if field.default is MISSING else field.default
            for field in fields(thing)
            if field.name != "_"
        }
    assert callable(thing)
    parameters = inspect.signature(thing).parameters.values()
    options = {
        one.name: one.default
        for one in parameters
        if one.kind is not one.VAR_KEYWORD and one.name not in {"self", "function"}
    }
    if dotted == "durable_core.Tasks.task":
        base = TaskOptions()
        stored = {"timeout": "timeout_us", "deadline": "deadline_us", "delay": "delay_us"}
        for name in get_type_hints(Options):
            options[name] = getattr(base, stored.get(name, name))
        assert base.retries.retries == 0
        options["retries"] = 0
    return options


def test_every_option_is_there_with_its_default() -> None:
    tables = _CHECKED.findall(text_of("options.md"))
    assert len(tables) == 9
    for dotted, table in tables:
        shown = {
            first.strip("`"): rest.partition(" | ")[0]
            for first, rest in rows(table)
            if first != "option"
        }
        expected = declared(dotted)
        assert set(shown) == set(expected), dotted
        for name, default in shown.items():
            assert default in wordings(expected[name]), f"{dotted}({name}): {expected[name]!r}"


def wordings(default: object) -> set[str]:
    """Return how a default may be written in a table."""
    if default is inspect.Parameter.empty:
        return {"required"}
    code = repr(default).replace("<class '", "").replace("'>", "")
    in_words = {word for word, value in _IN_WORDS.items() if default in value}
    return {f"`{code}`"} | in_words


def test_every_error_is_there() -> None:
    shown = {first.strip("`") for first, _ in rows(text_of("errors.md"))} - {"error"}
    assert shown == {
        name
        for module in (errors, storage_errors)
        for name, thing in vars(module).items()
        if inspect.isclass(thing) and issubclass(thing, BaseException)
    }


def test_every_status_is_there() -> None:
    table, _, raises = text_of("statuses.md").partition("## From status to exception")
    shown = {first.strip("`"): rest.split(" | ")[0] for first, rest in rows(table)}
    del shown["status"]
    assert shown == {
        status.value: "yes" if status.finished else "no" for status in durable_core.Status
    }
    exceptions = {first.strip("`"): rest.strip("`") for first, rest in rows(raises)}
    for status in storage.FINISHED_STATUSES - {durable_core.Status.COMPLETED}:
        assert issubclass(getattr(durable_core, exceptions[status]), durable_core.ExecutionError)


SEED_NAMES = re.findall(
    r"\w+",
    """
makeEffectDurableExecutor EffectDurableExecutor EffectDurableExecutorOptionsSchema
EffectDurableExecutorOptions AnySchema InferSchemaInput InferSchemaOutput DurableExecutor
DurableExecutorOptions Task AnyTask AnyTasks InferTaskInput InferTaskOutput InferTaskType
CommonTaskOptions TaskRetryOptions TaskOptions SleepingTaskOptions ParentTaskOptions
FinalizeTaskOptions DefaultParentTaskOutput TaskRunContext TaskExecution ReadyTaskExecution
RunningTaskExecution FailedTaskExecution TimedOutTaskExecution CancelledTaskExecution
WaitingForChildrenTaskExecution WaitingForFinalizeTaskExecution FinalizeFailedTaskExecution
CompletedTaskExecution FinishedTaskExecution ChildTask childTask FinishedChildTaskExecution
CompletedChildTaskExecution ErroredChildTaskExecution TaskExecutionSummary
ParentTaskExecutionSummary TaskExecutionStatus ALL_TASK_EXECUTION_STATUSES
ACTIVE_TASK_EXECUTION_STATUSES FINISHED_TASK_EXECUTION_STATUSES ERRORED_TASK_EXECUTION_STATUSES
ErroredTaskExecutionStatus TaskEnqueueOptions WakeupSleepingTaskExecutionOptions SequentialTasks
SequentialTasksHelper LastTaskElementInArray TaskExecutionsStorage TaskExecutionStorageValue
TaskExecutionOnChildrenFinishedProcessingStatus TaskExecutionCloseStatus
TaskExecutionStorageGetByIdFilters TaskExecutionStorageUpdate applyTaskExecutionStorageUpdate
TaskExecutionsStorageWithMutex TaskExecutionsStorageWithoutBatching
TaskExecutionsStorageWithBatching InMemoryTaskExecutionsStorage DurableExecutionErrorType
DurableExecutionError DurableExecutionNotFoundError DurableExecutionTimedOutError
DurableExecutionCancelledError DurableExecutionErrorStorageValue Serializer
createSuperjsonSerializer Mutex createMutex
""",
)


def test_every_exported_name_of_the_ancestor_is_there() -> None:
    assert len(set(SEED_NAMES)) == 73
    section = text_of("seeds.md").partition("## durable-execution: exported names")[2]
    section = section.partition("Not exported there")[0]
    shown = [first.strip("`") for first, _ in rows(section)]
    assert shown == ["name", *SEED_NAMES]


def test_every_name_of_ours_exists() -> None:
    checked = 0
    for first, rest in rows(text_of("seeds.md")):
        for code in _CODE.findall(rest):
            if match := _DOTTED.match(code):
                name = match[0]
                if name in {"ParamSpec", "Prepare", "SQLiteStorage"} or hasattr(builtins, name):
                    continue
                found(name)
                checked += 1
        assert first
    assert checked > 150
