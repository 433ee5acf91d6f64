"""A release: an ordered plan that is made at run time, and stored before its first step runs."""

from durable_core import Context, ExpectedError, PlanStep, PlanTask, RetryPolicy, Tasks

tasks = Tasks()


async def log_in(ctx: Context) -> str:
    """Get a token that is worth nothing tomorrow: so it is not stored, and fetched anew."""
    return f"token for {ctx.execution_id}"


@tasks.task(retries=RetryPolicy.endless(delay=5))
async def build(project: str) -> str:
    """Build a project; whatever goes wrong, it is tried again."""
    return f"{project}.whl"


@tasks.task(retries=3)
async def upload(ctx: Context, source: str) -> str:
    """Upload what an earlier step has built."""
    return f"{ctx.plan.output(source)} with {ctx.plan.prepared}"


@tasks.task
async def announce(channel: str) -> str:
    """Tell people; where that is not possible, the release goes on."""
    if channel == "fax":
        msg = "nobody has a fax any more"
        raise ExpectedError(msg)
    return f"told {channel}"


release: PlanTask = tasks.plan("release", build, upload, announce, prepare={upload: log_in})


def steps_for(projects: list[str], channels: list[str]) -> list[PlanStep]:
    """Return the plan of a release: what comes into it is known only now."""
    steps: list[PlanStep] = []
    for project in projects:
        steps.append(PlanStep(f"build {project}", build.call(project)))
        steps.append(PlanStep(f"upload {project}", upload.call(f"build {project}")))
    return steps + [PlanStep(f"tell {channel}", announce.call(channel)) for channel in channels]
