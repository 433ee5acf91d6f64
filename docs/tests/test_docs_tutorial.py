"""The tutorial's programs, run as its readers run them."""

import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

TUTORIAL = Path(__file__).resolve().parents[1] / "tutorial"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(document: str) -> list[tuple[str, str]]:
    """Return language and text of each fenced block."""
    return _BLOCK.findall((TUTORIAL / document).read_text("utf-8"))


@contextmanager
def started(*command: str, cwd: Path) -> Generator[subprocess.Popen[str]]:
    """Start a program, and see to it that it ends."""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may have SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def lines_until(program: subprocess.Popen[str], last: str) -> list[str]:
    """Return what a program prints, up to the line that begins so."""
    assert program.stdout is not None
    lines: list[str] = []
    for line in program.stdout:
        lines.append(line.rstrip())
        if line.startswith(last):
            return lines
    raise AssertionError(f"it ended without printing {last!r}: {lines}")


def test_first_steps_print_what_the_page_says(tmp_path: Path) -> None:
    shown = [
        (program, output)
        for (language, program), (after, output) in pairwise(blocks("first-steps.md"))
        if (language, after) == ("python", "text")
    ]
    assert len(shown) == 3
    for number, (program, output) in enumerate(shown):
        file = tmp_path / f"step_{number}.py"
        file.write_text(program, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, file], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == (output, "")


def test_an_order_survives_the_kill_of_its_worker(tmp_path: Path) -> None:
    ((_, program),) = [block for block in blocks("crash-it-yourself.md") if block[0] == "python"]
    (tmp_path / "shop.py").write_text(program, encoding="utf-8")
    buy = ("shop.py", "buy", "Ada", "apples", "pears", "plums", "cherries")

    with started("shop.py", "work", cwd=tmp_path) as worker:
        lines_until(worker, "worker")
        with started(*buy, cwd=tmp_path) as buyer:
            assert lines_until(buyer, "stored") == ["stored"]
            # All four are printed once the last two have begun, in either order.
            begun = [lines_until(worker, "packing")[-1] for _ in range(4)]
        worker.send_signal(signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
    items = [line.split()[1] for line in begun]
    assert sorted(items) == ["apples,", "cherries,", "pears,", "plums,"]
    assert all("attempt 1" in line for line in begun)

    with started("shop.py", "work", cwd=tmp_path) as successor:
        with started(*buy, cwd=tmp_path) as buyer:
            end = "apples, pears, plums, cherries on the way to Ada"
            assert lines_until(buyer, "apples") == ["was stored before", end]
        successor.send_signal(signal.SIGINT)
        assert successor.stdout is not None
        said = successor.stdout.read().splitlines()
        assert successor.wait() == 0
    again = [line.split()[1] for line in said if "attempt 2" in line]
    assert sorted(again) == sorted(items[2:])
    assert said[-1] == "stopped"
