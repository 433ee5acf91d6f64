"""Which process runs when: engine and sketch take turns, each run in a process of its own."""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .cases import Case, Scale
from .figures import Outcome, Runs, outcome
from .orders import Act, Order, RunFailedError, Who, carry_out
from .sample import Sample
from .storages import STORAGES

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
        if case.apart and not STORAGES[self.storage].shared:
            return Outcome(case=case, not_run=f"{self.storage} lives in one process")
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=f"{self.storage}-") as place:
            return outcome(case, self._runs(case, Path(place)))

    def _runs(self, case: Case, folder: Path) -> Runs:
        runs = Runs()
        turns = [(runs.engine, Who.ENGINE, False)]
        if case.sketched:
            turns.append((runs.sketch, Who.SKETCH, False))
        if case.filled:
            turns.append((runs.emptied, Who.ENGINE, True))
        templates = self._templates(case, folder)
        repeats = self.repeats or case.repeats
        for repeat in range(repeats):
            for samples, who, emptied in turns:
                self.say(f"{self.storage} {case.key} {who} {repeat + 1}/{repeats}")
                template = None if emptied else templates.get(who)
                with _place(folder, template) as place:
                    order = self._order(case, who, place)
                    samples.append(_sample(replace(order, emptied=emptied)))
        return runs

    def _templates(self, case: Case, folder: Path) -> dict[Who, Path]:
        """Fill a folder for each side once; every run then begins with a copy of it."""
        templates: dict[Who, Path] = {}
        if case.filled and STORAGES[self.storage].shared:
            for who in Who:
                self.say(f"{self.storage} {case.key} {who}: fill")
                templates[who] = folder / f"template-{who}"
                templates[who].mkdir()
                carry_out(replace(self._order(case, who, templates[who]), act=Act.FILL))
        return templates

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
def _place(folder: Path, template: Path | None) -> Generator[Path]:
    place = folder / "run"
    if template is None:
        place.mkdir()
    else:
        shutil.copytree(template, place)
        # What is still on its way to the disk would be paid for by the first commits.
        os.sync()
    try:
        yield place
    finally:
        shutil.rmtree(place)
