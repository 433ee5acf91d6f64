"""A function that lives for years: it begins a new record now and then."""

from durable_core import Tasks, WorkflowContext

tasks = Tasks()

_RECORD = 100
"""Results after which a new record is begun."""


async def measure(sensor: str, number: int) -> int:
    """Read a sensor."""
    return len(sensor) + number


@tasks.workflow
async def watch(
    ctx: WorkflowContext, sensor: str, days: int, number: int = 0, highest: int = 0
) -> int:
    """Measure once a day; return the highest value."""
    while number < days:
        highest = max(highest, await ctx.step(measure, sensor, number))
        number += 1
        if ctx.recorded >= _RECORD:
            ctx.continue_as_new(sensor, days, number, highest)
    return highest
