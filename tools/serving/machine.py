"""What all private servers need of the machine: a port, a user who is not root, Debian packages."""

import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PATIENCE = 30.0
"""Seconds until a server that is starting or ending is given up."""


class NotAvailableError(Exception):
    """There is no server, and none can be started; the text says what to install."""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not.

    When it is killed, its first thread can have ended before the others, which keep its files and
    ports.
    """
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return threads > 1 or stat.rpartition(")")[2].split()[0] != "Z"


def server_of(pid_file: Path, folder: str) -> int | None:
    """Return the process that a server's file names; None if it does not run.

    A machine gives the numbers of ended processes away again, to threads too: what would be killed
    in place of a server that has ended by itself is somebody else's.

    Args:
        pid_file: Begins with the number.
        folder: Is on the server's command line.
    """
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split("\n")[0])
    except (FileNotFoundError, ValueError):
        return None
    shown = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    command = Path(f"/proc/{pid}/cmdline")
    try:
        text = (
            command.read_bytes() if Path("/proc/self").exists() else subprocess.check_output(shown)
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return pid if os.fsencode(folder) in text else None


def other_user() -> str | None:
    """Return as whom a server runs that refuses to be root; None if we are not root.

    Raises:
        NotAvailableError: There is nobody.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    msg = "the server refuses to run as root, and there is no user 'postgres' or 'nobody'"
    raise NotAvailableError(msg)


def group_of(user: str) -> str:
    """Return the name of a user's own group."""
    import grp  # noqa: PLC0415 - with pwd, where there are users

    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens.

    Not one that the system gives to outgoing connections: while a server is restarted, any client
    could come to have it.
    """
    low, high = 10_000, max(20_000, _first_ephemeral())
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(low, high)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _first_ephemeral() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8")
    except OSError:
        return 32_768
    return int(text.split()[0])


def may_install() -> bool:
    """Whether Debian packages may be installed: by root, where there is apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def docker() -> bool:
    """Whether a Docker engine answers."""
    if shutil.which("docker") is None:
        return False
    command = ["docker", "info"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def apt(*arguments: str) -> None:
    """Run apt-get, which waits for others that are running.

    Raises:
        NotAvailableError: It failed.
    """
    # dpkg refuses to work when the sbin folders are not on PATH.
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    # What is installed is for the tests, which start their own: no service begins to run.
    environment["RUNLEVEL"] = "1"
    environment["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
    if subprocess.run(command, check=False, stdout=sys.stderr, env=environment).returncode:
        msg = f"`{' '.join(command)}` failed: see above"
        raise NotAvailableError(msg)
