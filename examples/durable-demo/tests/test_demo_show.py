import io
import re

from demo_sample import NAMES, account, final_rows, held, rows_at_kill

from durable_demo import show
from durable_demo.ledger import Ledger
from durable_demo.progress import Board, Cell, Mood, look
from durable_demo.show import ASCII, BLOCKS, Screen

BOARD = Board(
    total=20,
    ended=9,
    running=4,
    retrying=1,
    asleep=1,
    timed_out=1,
    cells=(Cell(5, Mood.DONE), Cell(2, Mood.CUT_OFF), Cell(0, Mood.WAITING), Cell(5, Mood.TROUBLE)),
)


class Stream(io.TextIOWrapper):
    """A terminal, or a pipe, that remembers what was written."""

    def __init__(self, *, terminal: bool, encoding: str = "utf-8") -> None:
        self.data = io.BytesIO()
        self._terminal = terminal
        super().__init__(self.data, encoding=encoding)

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        self.flush()
        return self.data.getvalue().decode(self.encoding)


def test_a_terminal_gets_a_picture_that_is_drawn_anew() -> None:
    stream = Stream(terminal=True)
    screen = Screen.of(stream, {"TERM": "xterm"})

    screen.show(BOARD)
    first = stream.text()
    screen.show(BOARD)
    second = stream.text()[len(first) :]
    lines = first.count("\n")

    assert second == f"\x1b[{lines}A\x1b[J{first}"
    assert "\x1b[32m" in first
    assert " 45%" in first
    assert "9 of 20 ended" in first
    assert "4 running, 1 to retry, 1 timed out, 1 asleep until approved" in first


def test_a_line_that_stays_replaces_the_picture() -> None:
    stream = Stream(terminal=True)
    screen = Screen.of(stream, {"TERM": "xterm"})
    screen.show(BOARD)
    before = len(stream.text())

    screen.line("gone", mark="bad", style="red")

    assert re.fullmatch(
        "\x1b\\[\\d+A\x1b\\[J\x1b\\[31m\u2716 gone\x1b\\[0m\n", stream.text()[before:]
    )


def test_no_color_keeps_the_picture_and_drops_the_colours() -> None:
    stream = Stream(terminal=True)
    screen = Screen.of(stream, {"TERM": "xterm", "NO_COLOR": "1"})

    screen.show(BOARD)
    screen.line("text", style="bold")

    assert not re.search("\x1b\\[[0-9;]*m", stream.text())
    assert BLOCKS.cut in stream.text()


def test_control_codes_in_names_do_not_reach_the_terminal() -> None:
    stream = Stream(terminal=True)
    screen = Screen(stream, live=True, colour=False)

    screen.line("evil\x1b[2J\r.md")

    assert stream.text() == "evil?[2J?.md\n"


def test_a_dumb_terminal_gets_plain_lines() -> None:
    stream = Stream(terminal=True)
    screen = Screen.of(stream, {"TERM": "dumb"})

    screen.line("text", mark="good", style="green")

    assert stream.text() == "\u2714 text\n"


def test_a_pipe_gets_a_line_now_and_then() -> None:
    now = [100.0]
    stream = Stream(terminal=False)
    screen = Screen(stream, live=False, colour=False, clock=lambda: now[0])

    for seconds in (0.0, 0.1, 2.1, 2.2, 4.3):
        now[0] = 100.0 + seconds
        screen.show(BOARD if seconds < 4 else Board(total=20, ended=20))

    assert stream.text() == (
        "\u25b8   2.1 s   45%  9 of 20 ended, 4 running, 1 to retry, 1 timed out,"
        " 1 asleep until approved\n"
        "\u25b8   4.3 s  100%  20 of 20 ended, 0 running\n"
    )


def test_a_terminal_without_unicode_gets_ascii() -> None:
    stream = Stream(terminal=True, encoding="ascii")
    screen = Screen.of(stream, {"TERM": "xterm", "NO_COLOR": "1"})

    screen.show(BOARD)

    assert f"{ASCII.steps[5]}{ASCII.cut}{ASCII.steps[0]}{ASCII.trouble}" in stream.text()


def test_many_files_need_several_lines() -> None:
    stream = Stream(terminal=True)
    screen = Screen(stream, live=True, colour=False, width=30)
    cells = (Cell(5, Mood.DONE),) * 60

    screen.show(Board(total=20, ended=9, cells=cells))

    rows = [line for line in stream.text().splitlines() if BLOCKS.steps[5] * 3 in line]
    assert [row.count(BLOCKS.steps[5]) for row in rows[:3]] == [26, 26, 8]


def test_the_board_at_the_kill_shows_what_was_cut_off() -> None:
    given = account()
    assert given.killed is not None
    lost = {row.id: row.owner or "" for row in given.killed.ledger.held()}

    board = look(given.killed.ledger, lost)

    assert board.ended == 6
    assert board.steps_share == 5 / 15
    assert board.running == 0
    assert board.cut_off == 3
    assert board.asleep == 1
    assert [cell.mood for cell in board.cells] == [Mood.DONE, Mood.CUT_OFF, Mood.WAITING]
    assert not board.only_approval_left


def test_the_board_before_the_kill_shows_them_running() -> None:
    board = look(Ledger(rows=rows_at_kill(), names=NAMES))

    assert board.running == 3
    assert [cell.mood for cell in board.cells] == [Mood.DONE, Mood.RUNNING, Mood.WAITING]


def test_the_board_at_the_end_remembers_the_recovered() -> None:
    lost = {"p1-fingerprint": "worker-1-x", "p2-title": "worker-1-x"}

    board = look(Ledger(rows=final_rows(), names=NAMES), lost)

    assert board.share == 1
    assert board.timed_out == 1
    assert [cell.mood for cell in board.cells] == [Mood.DONE, Mood.TROUBLE, Mood.RECOVERED]


def test_only_the_approval_is_left_when_all_files_are_studied() -> None:
    rows = final_rows()
    del rows["report"]
    rows["root"] = held(rows["root"])
    rows["approval"] = rows_at_kill()["approval"]

    assert look(Ledger(rows=rows, names=NAMES)).only_approval_left


def test_every_mood_has_a_colour() -> None:
    assert set(Mood) == set(show._MOODS)
