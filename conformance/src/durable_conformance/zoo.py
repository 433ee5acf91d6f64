"""One row in every state that a row can be in."""

from typing import Final

from durable_core.storage import UNFINISHED, Finish, Phase

from .moves import child, finish, new, release, sleeper
from .stage import BELA, HOUR, NOW, Stage

UNHELD: Final = ("ready", "later", "never", "napping", "sleeping", "waiting", "finalizing")
"""Unfinished rows that nobody holds. Of these only `ready` is due."""

HELD: Final = ("held", "marked")
"""Unfinished rows that BELA holds; cancellation was requested for `marked`."""

DONE: Final = ("completed", "failed", "timed_out", "finalize_failed", "cancelled")
"""Finished rows without duty."""

DUTIES: Final = ("duty", "held-duty")
"""Finished rows with an unfinished child; BELA holds `held-duty`."""

ZOO: Final = (*UNHELD, *HELD, *DONE, *DUTIES)
"""All rows but the children of `waiting`, `finalizing` and the duties."""

ZOO_CHILDREN: Final = ("waiting.0", "finalizing.0", "duty.0", "held-duty.0")
"""The children, none of them due."""


async def fill_zoo(stage: Stage) -> None:
    """Insert the rows; nothing else may be in the namespace."""
    for id_ in ("held-duty", "duty"):
        parent = await stage.hold(id_, owner=BELA)
        await stage.applied(release(parent, children=[child(parent, 0, due=NOW + HOUR)]))
        parent = await stage.take(id_, executor=BELA)
        await stage.applied(finish(parent, output=b"out"))
        if id_ == "held-duty":
            await stage.take_duty(id_, executor=BELA)
    await stage.insert(
        new("later", due=NOW + HOUR),
        new("never", due=None),
        new("napping", phase=Phase.SLEEPING, due=NOW + HOUR),
        sleeper("sleeping", "bell", due=NOW + HOUR),
        new("held", owner=BELA, state=b"half"),
        new("marked", owner=BELA),
    )
    await stage.storage.cancel(ids=["marked"], request="zoo", now=NOW)
    for id_, phase in (
        ("waiting", Phase.WAITING_FOR_CHILDREN),
        ("finalizing", Phase.WAITING_FOR_FINALIZE),
    ):
        parent = await stage.hold(id_, owner=BELA)
        kids = [child(parent, 0, due=NOW + HOUR)]
        await stage.applied(release(parent, phase, None, children=kids))
    for phase in sorted(set(Phase) - UNFINISHED):
        row = await stage.hold(phase.value, owner=BELA)
        failed = phase is not Phase.COMPLETED
        values = {"error": b"why"} if failed else {"output": b"what"}
        done: Finish = finish(row, phase, **values)
        await stage.applied(done)
    await stage.insert(new("ready"))
