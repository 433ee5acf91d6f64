"""A saga: bookings that are undone when something after them goes wrong."""

from durable_core import StepFailedError, Tasks, WorkflowContext

tasks = Tasks()

booked: set[str] = set()
"""What the world looks like."""


async def book(what: str) -> None:
    """Book something; booking it again is the same booking."""
    if what.endswith("sold out"):
        msg = f"{what}: nothing left"
        raise LookupError(msg)
    booked.add(what)


async def cancel(what: str) -> None:
    """Cancel a booking; cancelling it again changes nothing."""
    booked.discard(what)


@tasks.workflow
async def travel(ctx: WorkflowContext, who: str, wishes: list[str], pause: float = 0) -> str:
    """Book all that is wished for, or nothing."""
    done: list[str] = []
    try:
        for wish in wishes:
            await ctx.step(book, f"{who}: {wish}")
            done.append(wish)
            await ctx.sleep(pause)
    except StepFailedError as error:
        await undo(ctx, who, done)
        return f"nothing was booked: {error.info.message}"
    except BaseException:
        # Cancelled: the bookings are undone before it ends.
        await undo(ctx, who, done)
        raise
    return f"booked {', '.join(done)}"


async def undo(ctx: WorkflowContext, who: str, done: list[str]) -> None:
    """Cancel in reverse order."""
    for wish in reversed(done):
        await ctx.step(cancel, f"{who}: {wish}")
