"""What the function asks for, compared with what its record says it asked for."""

from ...errors import RecordMismatchError
from ..run import Run, UnfitError
from .operations import Operation
from .record import Entry, History, Kind, Open, State


class Matcher:
    """The record by position, and the versions that were chosen.

    Args:
        run: The activation.
        history: What the function has done.
        state: What is open.

    Attributes:
        chosen: Versions that this run has asked for, and what it was told.
    """

    def __init__(self, run: Run, history: History, state: State) -> None:
        self._record = run.record
        self._length = len(history.entries)
        self._asked = state.asked
        self._known: dict[int, Entry | Open] = {one.position: one for one in state.open}
        self._known |= {entry.position: entry for entry in history.entries if entry.position >= 0}
        self._versions = {entry.name for entry in history.entries if entry.kind is Kind.VERSION}
        self.chosen: dict[str, bool] = {}

    def replaying(self, delivered: int, asked: int) -> bool:
        """Whether the function is where it has been before.

        Args:
            delivered: Entries that it was given.
            asked: Operations that it has asked for.
        """
        return delivered < self._length or asked < self._asked

    def known(self, operation: Operation) -> Entry | Open | None:
        """Return what is known of an operation that the function asks for.

        Raises:
            RecordMismatchError: Something else was asked for at its place.
            UnfitError: Likewise, and newer code did so.
        """
        there = self._known.get(operation.position)
        if there is not None and (there.kind, there.name) != (operation.kind, operation.name):
            raise self.mismatch(there, f"asks for {described(operation.kind, operation.name)}")
        return there

    def left(self, asked: int) -> Exception | None:
        """Return what is wrong with a function that has ended in the middle of its record.

        Args:
            asked: Operations that it has asked for.
        """
        for change in self._versions:
            if change not in self.chosen:
                return self.behind(change)
        there = self._known.get(asked)
        return None if there is None else self.mismatch(there, "ends before it comes there")

    def ended(self, position: int) -> bool:
        """Whether the record says how an operation ended."""
        return isinstance(self._known.get(position), Entry)

    def choose(self, change: str, *, replaying: bool) -> tuple[bool, bool]:
        """Return whether the function goes the new way, and whether that has to be recorded."""
        known = self.chosen.get(change)
        if known is not None:
            return known, False
        recorded = change in self._versions
        self.chosen[change] = new = recorded or not replaying
        return new, new and not recorded

    def mismatch(self, there: Entry | Open, instead: str) -> Exception:
        """Return the error for a function that does not do what its record says."""
        for change in self._versions:
            if change not in self.chosen:
                return self.behind(change)
        return RecordMismatchError(
            f"execution {self._record.id}: at operation {there.position} the record has "
            f"{described(there.kind, there.name)}, but task {self._record.task!r} {instead}: the "
            "code has changed, or does something else than before; use ctx.version, or a new name"
        )

    def behind(self, change: str) -> UnfitError:
        """Return the error for code that is older than the record."""
        return UnfitError(
            f"the record has version {change!r}, which task {self._record.task!r} does not ask "
            "for here"
        )


def described(kind: str, name: str) -> str:
    """Return an operation in words."""
    return f"{kind} {name!r}" if name else f"a {kind}"
