"""Show a run while it goes on: a live picture on a terminal, plain lines everywhere else."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from .progress import Board, Cell, Mood
from .verify import PAGE_STEPS

_PLAIN_EVERY = 2.0
_BAR: Final = 40
_INDENT: Final = "  "
_WIDEST: Final = 100

_SGR: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_SGR_OFF: Final = "\x1b[0m"

_MOODS: Final = {
    Mood.WAITING: "dim",
    Mood.RUNNING: "cyan",
    Mood.DONE: "green",
    Mood.RECOVERED: "yellow",
    Mood.TROUBLE: "red",
    Mood.CUT_OFF: "red",
}


@dataclass(frozen=True)
class Glyphs:
    """The characters to draw with.

    Attributes:
        steps: By how many of a file's steps have ended.
        cut: A file whose step was cut off.
        trouble: A file with a step that failed for good.
        bar: Full and empty part of the bar.
        marks: What stands before a line, by its meaning.
    """

    steps: str
    cut: str
    trouble: str
    bar: str
    marks: Mapping[str, str]


BLOCKS: Final = Glyphs(
    steps="\u00b7\u2591\u2591\u2592\u2593\u2588",
    cut="\u2716",
    trouble="!",
    bar="\u2588\u2591",
    marks={"good": "\u2714", "bad": "\u2716", "step": "\u25b8", "ask": "?"},
)
ASCII: Final = Glyphs(
    steps=".::+*#",
    cut="x",
    trouble="!",
    bar="#.",
    marks={"good": "+", "bad": "x", "step": ">", "ask": "?"},
)


class Screen:
    """Lines that stay, and below them a picture of the run that is drawn anew.

    Args:
        stream: Where to write.
        live: Draw the picture; if False a line every two seconds says how far the run is.
        colour: Use colours.
        glyphs: The characters to draw with.
        width: Columns.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        live: bool,
        colour: bool,
        glyphs: Glyphs = BLOCKS,
        width: int = 80,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._live = live
        self._colour = colour
        self._glyphs = glyphs
        self._width = min(width, _WIDEST)
        self._drawn = 0
        self._clock = clock
        self._began = clock()
        self._last_plain = 0.0
        self._last_text = ""

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str] = os.environ) -> "Screen":
        """Make the best screen for a stream: NO_COLOR, TERM=dumb and files are respected."""
        terminal = stream.isatty()
        live = terminal and environment.get("TERM", "") not in {"", "dumb"}
        colour = live and not environment.get("NO_COLOR")
        return cls(
            stream,
            live=live,
            colour=colour,
            glyphs=BLOCKS if _can_write(stream, BLOCKS) else ASCII,
            width=shutil.get_terminal_size().columns - 1,
        )

    def line(self, text: str = "", *, mark: str = "", style: str = "") -> None:
        """Write a line that stays.

        Args:
            text: What to say.
            mark: `good`, `bad`, `step`, `ask` or nothing.
            style: `bold`, `dim`, a colour, or nothing.
        """
        self.clear()
        sign = f"{self._glyphs.marks[mark]} " if mark else ""
        # Names of files come from outside: no control codes from there.
        shown = "".join(char if char.isprintable() else "?" for char in f"{sign}{text}")
        self._write(f"{self._paint(shown, style)}\n")

    def event(self, text: str, *, mark: str = "step", style: str = "") -> None:
        """Write a line that stays, with the seconds since the start."""
        self.line(f"{self.seconds:5.1f} s  {text}", mark=mark, style=style)

    @property
    def seconds(self) -> float:
        """Seconds since the screen was made."""
        return self._clock() - self._began

    def show(self, board: Board) -> None:
        """Draw the run, or say in a line how far it is if something has moved since."""
        if self._live:
            self.clear()
            lines = ["", *self._grid(board), "", self._bar(board), f"{_INDENT}{_counts(board)}"]
            self._write("\n".join(lines) + "\n")
            self._drawn = len(lines)
        elif self.seconds - self._last_plain >= _PLAIN_EVERY:
            text = f"{board.share:4.0%}  {board.ended} of {board.total} ended, {_counts(board)}"
            if text != self._last_text:
                self._last_plain = self.seconds
                self._last_text = text
                self.event(text)

    def clear(self) -> None:
        """Take the picture away, so that lines can follow."""
        if self._drawn:
            self._write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _grid(self, board: Board) -> list[str]:
        row = self._width - 2 * len(_INDENT)
        cells = [self._cell(cell) for cell in board.cells]
        return [_INDENT + "".join(cells[at : at + row]) for at in range(0, len(cells), row)]

    def _cell(self, cell: Cell) -> str:
        if cell.mood is Mood.CUT_OFF:
            glyph = self._glyphs.cut
        elif cell.mood is Mood.TROUBLE and cell.done == len(PAGE_STEPS):
            glyph = self._glyphs.trouble
        else:
            glyph = self._glyphs.steps[cell.done]
        return self._paint(glyph, _MOODS[cell.mood])

    def _bar(self, board: Board) -> str:
        size = min(_BAR, self._width - 30)
        full = round(board.share * size)
        bar = self._paint(self._glyphs.bar[0] * full, "green")
        rest = self._paint(self._glyphs.bar[1] * (size - full), "dim")
        return f"{_INDENT}{bar}{rest} {board.share:4.0%}  {board.ended} of {board.total} ended"

    def _paint(self, text: str, style: str) -> str:
        if not (self._colour and style and text):
            return text
        return f"\x1b[{_SGR[style]}m{text}{_SGR_OFF}"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _counts(board: Board) -> str:
    parts = [
        f"{board.running} running",
        f"{board.cut_off} cut off, until the lease is over" if board.cut_off else "",
        f"{board.retrying} to retry" if board.retrying else "",
        f"{board.timed_out} timed out" if board.timed_out else "",
        f"{board.asleep} asleep until approved" if board.asleep else "",
    ]
    return ", ".join(part for part in parts if part)


def _can_write(stream: TextIO, glyphs: Glyphs) -> bool:
    try:
        "".join((glyphs.steps, glyphs.cut, glyphs.bar, *glyphs.marks.values())).encode(
            stream.encoding or "ascii"
        )
    except (UnicodeEncodeError, LookupError):
        return False
    return True
