"""MariaDB: installed from Debian packages, or wherever its programs are."""

import hashlib
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from . import mysqld
from .machine import NotAvailableError, apt, docker, may_install

URL = "DURABLE_TEST_MARIADB_URL"
"""Names a server to use: a user who may create databases and users, and a database."""

RESTART = "DURABLE_TEST_MARIADB_RESTART"
"""A command that kills that server and starts it again; without it no test does so."""

IMAGE = "DURABLE_TEST_MARIADB_IMAGE"
"""The image of a container."""

restart = mysqld.restart

_PACKAGES = ("mariadb-server-core", "mariadb-client-core")
"""The programs, without the package that makes a service of them."""

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/usr/local/bin"


def program() -> str | None:
    """Return the server's program, if it is installed with what makes its data directory."""
    needed = ("mariadbd", "mariadb-install-db", "my_print_defaults")
    found = [shutil.which(name, path=_PATH) for name in needed]
    return found[0] if all(found) else None


def command(found: str) -> list[str]:
    """Return how to run the program."""
    return [found, "--no-defaults", *mysqld.as_root()]


def template(found: str) -> Path:
    """Return the data directory that the program's servers begin with."""
    start = command(found)
    version = mysqld.run([*start, "--version"])
    kind = f"{found} {version} {mysqld.SQL}"
    name = hashlib.blake2b(kind.encode(), digest_size=6).hexdigest()

    def make(folder: Path) -> None:
        folder.mkdir()
        install = shutil.which("mariadb-install-db", path=_PATH) or ""
        user = [f"--user={'root' if os.geteuid() == 0 else os.environ.get('USER', 'nobody')}"]
        mysqld.run(
            [
                install, "--no-defaults", f"--datadir={folder}", "--skip-test-db",
                "--auth-root-authentication-method=normal", *user,
            ]
        )  # fmt: skip
        mysqld.run(
            [*start, f"--datadir={folder}", "--bootstrap", "--skip-networking"],
            text="".join(f"{one};\n" for one in ("FLUSH PRIVILEGES", *mysqld.SQL)),
        )

    return mysqld.template(f"mariadb-{name}", make)


@contextmanager
def serve() -> Generator[dict[str, str]]:
    """Yield the environment in which a MariaDB server can be reached.

    In this order: the server that `URL` names; a container; programs on this machine.

    Raises:
        NotAvailableError: None of them; with what to install.
    """
    if URL in os.environ:
        yield {}
        return
    if docker():
        image = os.environ.get(IMAGE, "mariadb:11.8")
        with mysqld.container("mariadb", (URL, RESTART), image) as environment:
            yield environment
        return
    found = program()
    if found is None:
        msg = (
            "no MariaDB server: install one with `sudo apt-get install "
            f"{' '.join(_PACKAGES)}` (or `brew install mariadb`), or name one that is running: "
            f"{URL}=mariadb://…"
        )
        raise NotAvailableError(msg)
    data = template(found)
    names = (URL, RESTART)
    with mysqld.private("mariadb", names, command(found), "mariadb", data) as environment:
        yield environment


def install() -> None:
    """Install the server's programs where there are none and this may be done: root, on Debian."""
    if not may_install() or URL in os.environ or program() is not None:
        return
    print("servers: installing MariaDB from Debian packages", file=sys.stderr, flush=True)
    apt("update", "-q")
    apt("install", "-q", "-y", "--no-install-recommends", *_PACKAGES)
