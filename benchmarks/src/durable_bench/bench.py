"""Which process runs when: engine and sketch take turns, each run in a process of its own."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .cases import Case, Scale
from .figures import Outcome, Runs, outcome
from .orders import Act, Order, RunFailedError, Who, carry_out
from .rooms import Place, Room, room_of
from .sample import Sample

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Runs the cases of one storage.

    Attributes:
        storage: Its name.
        scale: How much of everything.
        repeats: Runs of each side, of which medians are taken; None: what each case needs.
        folder: Where storages are kept while they are measured, on a real disk.
        say: Tells people how it goes.
    """

    storage: str
    scale: Scale
    repeats: int | None
    folder: Path
    say: Say

    def measure(self, case: Case) -> Outcome:
        """Run a case and return its figures.

        Raises:
            RunFailedError: A run did not end, or answered something wrong.
        """
        room = room_of(self.storage)
        if case.apart and not room.shared:
            return Outcome(case=case, not_run=f"{self.storage} lives in one process")
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=f"{self.storage}-") as place:
            return outcome(case, self._runs(room, case, Path(place)))

    def _runs(self, room: Room, case: Case, folder: Path) -> Runs:
        runs = Runs()
        turns = [(runs.engine, Who.ENGINE, False)]
        if case.sketched:
            turns.append((runs.sketch, Who.SKETCH, False))
        if case.filled:
            turns.append((runs.emptied, Who.ENGINE, True))
        repeats = self.repeats or case.repeats
        with self._templates(room, case, folder) as templates:
            for repeat in range(repeats):
                for samples, who, emptied in turns:
                    self.say(f"{self.storage} {case.key} {who} {repeat + 1}/{repeats}")
                    template = None if emptied else templates.get(who)
                    with _place(room, Place(folder / "run"), template) as filled:
                        order = self._order(case, who, folder / "run")
                        order = replace(order, emptied=emptied, unfilled=not filled)
                        samples.append(_sample(order))
        return runs

    @contextmanager
    def _templates(self, room: Room, case: Case, folder: Path) -> Generator[Mapping[Who, Place]]:
        """Fill a place for each side once; every run then begins with a copy of it."""
        templates: dict[Who, Place] = {}
        with ExitStack() as stack:
            if case.filled and room.copies:
                for who in Who:
                    self.say(f"{self.storage} {case.key} {who}: fill")
                    template = Place(folder / f"template-{who}")
                    stack.enter_context(_place(room, template, None))
                    carry_out(replace(self._order(case, who, template.folder), act=Act.FILL))
                    templates[who] = template
            yield templates

    def _order(self, case: Case, who: Who, place: Path) -> Order:
        return Order(
            who=who, storage=self.storage, case=case.key, scale=self.scale, place=str(place)
        )


def _sample(order: Order) -> Sample:
    sample = carry_out(order)
    if sample is None:
        raise RunFailedError(f"{order.case} of the {order.who} answered no sample")
    return sample


@contextmanager
def _place(room: Room, place: Place, template: Place | None) -> Generator[bool]:
    """Make a place, and remove it at the end; yields whether it has the template's rows."""
    try:
        if template is None:
            place.folder.mkdir()
            asyncio.run(room.create(place))
        else:
            asyncio.run(room.copy(template, place))
        yield template is not None
    finally:
        asyncio.run(room.drop(place))
        shutil.rmtree(place.folder, ignore_errors=True)
