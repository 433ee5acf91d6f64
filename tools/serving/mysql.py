"""MySQL: installed, or unpacked from Debian's packages into a folder of the repository."""

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import mysqld
from .machine import NotAvailableError, apt, docker, may_install

URL = "DURABLE_TEST_MYSQL_URL"
"""Names a server to use: a user who may create databases and users, and a database."""

RESTART = "DURABLE_TEST_MYSQL_RESTART"
"""A command that kills that server and starts it again; without it no test does so."""

IMAGE = "DURABLE_TEST_MYSQL_IMAGE"
"""The image of a container."""

restart = mysqld.restart

_PACKAGES = ("mysql-server-core", "mysql-server-core-8.4", "mysql-server-core-8.0")
_TREE = mysqld.BUILD / "mysql"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/usr/local/mysql/bin"


def command() -> list[str] | None:
    """Return the server's program and what it needs, None if there is no MySQL."""
    unpacked = next(_TREE.glob("usr/sbin/mysqld"), None)
    if unpacked is not None:
        return _unpacked(unpacked)
    found = shutil.which("mysqld", path=_PATH)
    # MariaDB has a program of that name, too.
    if found is None or "MariaDB" in mysqld.run([found, "--no-defaults", "--version"]):
        return None
    return [found, *_options()]


def _options() -> list[str]:
    return ["--no-defaults", "--secure-file-priv=NULL", "--mysqlx=OFF", *mysqld.as_root()]


def _unpacked(program: Path) -> list[str]:
    """Return how to run it with the libraries that were unpacked beside it."""
    loader = next(_TREE.glob("usr/lib*/ld-linux*.so.*"), None)
    libraries = [str(path) for path in _TREE.glob("usr/lib/*-linux-gnu*")]
    start = [] if loader is None else [str(loader), "--library-path", ":".join(libraries)]
    share = _TREE / "usr/share/mysql"
    places = [
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share}/charsets",
        f"--plugin-dir={_TREE}/usr/lib/mysql/plugin",
    ]
    first, *others = _options()
    return [*start, str(program), first, *places, *others]


def template(found: list[str]) -> Path:
    """Return the data directory that the program's servers begin with."""
    version = mysqld.run([*found, "--version"])
    kind = f"{found} {version} {mysqld.SQL}"
    name = hashlib.blake2b(kind.encode(), digest_size=6).hexdigest()

    def make(folder: Path) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write("".join(f"{one};\n" for one in mysqld.SQL))
            file.flush()
            mysqld.run(
                [
                    *found, "--initialize-insecure", f"--datadir={folder}",
                    f"--init-file={file.name}",
                ]
            )  # fmt: skip

    return mysqld.template(f"mysql-{name}", make)


@contextmanager
def serve() -> Generator[dict[str, str]]:
    """Yield the environment in which a MySQL server can be reached.

    In this order: the server that `URL` names; a container; programs on this machine.

    Raises:
        NotAvailableError: None of them; with what to install.
    """
    if URL in os.environ:
        yield {}
        return
    if docker():
        image = os.environ.get(IMAGE, "mysql:8.4")
        with mysqld.container("mysql", (URL, RESTART), image) as environment:
            yield environment
        return
    found = command()
    if found is None:
        msg = (
            "no MySQL server: install one (`brew install mysql`, or the packages of your system; "
            f"as root on Debian it is unpacked into {_TREE}), or name one that is running: "
            f"{URL}=mysql://…"
        )
        raise NotAvailableError(msg)
    data = template(found)
    with mysqld.private("mysql", (URL, RESTART), found, "mysql", data) as environment:
        yield environment


def install() -> None:
    """Unpack the server's programs where there are none and this may be done: root, on Debian.

    Debian has MySQL in its unstable suite only, where it conflicts with MariaDB: so it is not
    installed, but unpacked together with all libraries that it needs.
    """
    if not may_install() or URL in os.environ or command() is not None:
        return
    print(
        f"servers: unpacking MySQL from Debian packages into {_TREE}", file=sys.stderr, flush=True
    )
    _TREE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_TREE.parent, prefix=".unpacking-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        for package in _download(scratch):
            mysqld.run(["dpkg-deb", "-x", str(package), str(scratch / "tree")])
        with suppress(OSError):
            (scratch / "tree").rename(_TREE)


def _download(scratch: Path) -> list[Path]:
    """Return the packages of the server and of all it needs, as for an empty machine."""
    archives = scratch / "archives"
    for folder in ("lists/partial", "archives/partial"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "status").touch()
    package, sources = _offer(scratch)
    options = [
        *sources,
        f"Dir::State={scratch}",
        f"Dir::State::lists={scratch}/lists",
        f"Dir::State::status={scratch}/status",
        f"Dir::Cache={scratch}",
        f"Dir::Cache::archives={archives}",
        "APT::Sandbox::User=root",
        # A suite that is mirrored late is still good enough for tests.
        "Acquire::Check-Valid-Until=false",
    ]
    switches = [part for option in options for part in ("-o", option)]
    apt(*switches, "update", "-q")
    apt(*switches, "install", "-q", "-y", "--no-install-recommends", "--download-only", package)
    return sorted(archives.glob("*.deb"))


def _offer(scratch: Path) -> tuple[str, list[str]]:
    """Return the name of the server's package, and apt's options for where to look for it.

    Raises:
        NotAvailableError: Nobody offers it.
    """
    mirror = _mirror()
    if mirror is not None:
        text = f"deb [signed-by={_KEYRING}] {mirror} sid main\n"
        (scratch / "sources.list").write_text(text, encoding="utf-8")
        return _PACKAGES[0], [
            f"Dir::Etc::sourcelist={scratch}/sources.list",
            "Dir::Etc::sourceparts=/dev/null",
            "Dir::Etc::preferencesparts=/dev/null",
        ]
    # Other systems have it among their own packages.
    apt("update", "-q")
    for name in _PACKAGES:
        if mysqld.run(["apt-cache", "madison", name]).strip():
            return name, []
    msg = f"none of {', '.join(_PACKAGES)} is among the packages of this system"
    raise NotAvailableError(msg)


def _mirror() -> str | None:
    """Return where this machine has its Debian packages from, None if it is no Debian."""
    places = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for place in places:
        text = place.read_text(encoding="utf-8", errors="replace") if place.is_file() else ""
        found = re.search(
            r"^(?:URIs:|deb(?: \[.*?\])?)\s+(\S+/debian/?)(?:\s|$)", text, re.MULTILINE
        )
        if found is not None:
            return found[1]
    return None
