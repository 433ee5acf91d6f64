"""Start worker processes, kill them, send them home."""

import os
import subprocess
import sys
from pathlib import Path

from .errors import DemoError
from .stage import VARIABLE, Stage
from .worker import LOCATION

_PATIENCE = 20.0
_TAIL = 15


class Worker:
    """A worker process, seen from the process that started it.

    Args:
        location: The storage's.
        stage: What its steps are to play; its worker number names the worker.
        concurrency: At most so many tasks at once.
        lease: Seconds.
        log: The file for what it logs.
    """

    def __init__(
        self, location: str, stage: Stage, *, concurrency: int, lease: float, log: Path
    ) -> None:
        self.number = stage.worker
        self.log = log
        command = [
            *(sys.executable, "-m", "durable_demo.worker"),
            *("--name", f"worker-{stage.worker}"),
            *("--concurrency", str(concurrency), "--lease", str(lease)),
        ]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                # Not as an argument: everybody sees those, and a URL may hold a password.
                env={**os.environ, VARIABLE: stage.dump(), LOCATION: location},
                # Ctrl-C is for the parent, which then tells its workers.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def check(self) -> None:
        """Do nothing while the worker lives.

        Raises:
            DemoError: It ended by itself; the message has the last lines of its log.
        """
        code = self._process.poll()
        if code is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise DemoError(
                f"worker {self.number} ended by itself with exit code {code}",
                "\n".join([f"the last lines of {self.log}:", *lines[-_TAIL:]]),
            )

    def kill(self) -> int | None:
        """Kill the process with SIGKILL: it can do nothing about it.

        Returns:
            The signal that ended it, as the operating system says; None if it was no signal.
        """
        self._process.kill()
        code = self._process.wait()
        self._close()
        return -code if code < 0 else None

    def dismiss(self) -> int:
        """Let the worker end by itself: close its standard input and wait.

        Returns:
            Its exit code; a worker that does not end in time is killed.
        """
        self._close()
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
