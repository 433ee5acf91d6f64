"""Images of servers for the tests, made from Debian packages where no registry can be reached.

`python tools/images.py postgres …` makes what is missing and prints the environment that names the
images; Docker and mmdebstrap must be there, and we must be root. An image acts as the official one
does, as far as testcontainers expects: it is configured by the same environment variables.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving import mongodb
from serving.machine import NotAvailableError, apt, docker, may_install

NAME = "localhost/durable-test-{target}"

_POSTGRES = """#!/bin/sh
set -eu
data=/var/lib/durable
programs=$(echo /usr/lib/postgresql/*/bin)
mkdir -p /var/run/postgresql
chown postgres:postgres /var/run/postgresql
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
if ! test -s $data/PG_VERSION; then
    mkdir -p $data
    chown postgres:postgres $data
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    chmod 644 /tmp/password
    as $programs/initdb -D $data -U "$POSTGRES_USER" -A scram-sha-256 --pwfile=/tmp/password \
        -E UTF8 --locale=C --no-instructions
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>$data/pg_hba.conf
    echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | as $programs/postgres --single -D $data postgres
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups $programs/postgres -D $data \
    -c listen_addresses='*' -c shared_preload_libraries=pg_stat_statements
"""

_REDIS = """#!/bin/sh
set -eu
mkdir -p /var/lib/durable
cd /var/lib/durable
test "${1:-}" != redis-server || shift
exec redis-server --protected-mode no --bind 0.0.0.0 --appendonly yes --appendfsync always \
    --maxmemory-policy noeviction "$@"
"""

_MARIADB = """#!/bin/sh
set -eu
data=/var/lib/durable
mkdir -p /run/mysqld
chown mysql:mysql /run/mysqld
if ! test -d $data/mysql; then
    mariadb-install-db --no-defaults --user=mysql --datadir=$data >/dev/null
    cat >/tmp/init.sql <<END
FLUSH PRIVILEGES;
CREATE USER root@'%' IDENTIFIED BY '${MYSQL_ROOT_PASSWORD}';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS ${MYSQL_DATABASE:-test};
END
    mariadbd --no-defaults --user=mysql --datadir=$data --bootstrap </tmp/init.sql
    # What waits for this image expects the server to say so once more than it starts.
    echo 'mariadbd: ready for connections.' >&2
fi
exec mariadbd --no-defaults --user=mysql --datadir=$data --bind-address=0.0.0.0 --skip-name-resolve
"""

_MONGODB = """#!/bin/sh
set -eu
mkdir -p /data/db
exec "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Image:
    """What an image is made of.

    Attributes:
        packages: Debian packages.
        port: Where the server listens.
        entry: The program that is run.
        program: Finds the server's program on this machine, if no package has it.
    """

    packages: Sequence[str]
    port: int
    entry: str
    program: Callable[[], Path] | None = None


IMAGES: Mapping[str, Image] = {
    "postgres": Image(packages=["postgresql"], port=5432, entry=_POSTGRES),
    "redis": Image(packages=["redis-server"], port=6379, entry=_REDIS),
    "mariadb": Image(packages=["mariadb-server"], port=3306, entry=_MARIADB),
    "mongodb": Image(
        packages=["libcurl4"], port=27017, entry=_MONGODB, program=mongodb.program_or_advice
    ),
}
"""By target."""


def variable(target: str) -> str:
    """Return the environment variable that names a target's image."""
    return f"DURABLE_TEST_{target.upper().replace('-', '_')}_IMAGE"


def images(targets: Sequence[str]) -> dict[str, str]:
    """Return the environment that names the images of targets; what is missing is made.

    Raises:
        NotAvailableError: There is no Docker engine, or an image is missing and cannot be made.
    """
    if not docker():
        msg = (
            "no Docker engine answers `docker info`: start one, or name it by DOCKER_HOST (one for "
            "tests only publishes nothing but loopback ports: dockerd --ip 127.0.0.1)"
        )
        raise NotAvailableError(msg)
    environment: dict[str, str] = {}
    for target in targets:
        if target not in IMAGES:
            msg = f"no image for {target}: there are recipes for {', '.join(IMAGES)}"
            raise NotAvailableError(msg)
        environment[variable(target)] = _image(target)
    return environment


def _image(target: str) -> str:
    name = NAME.format(target=target)
    look = ["docker", "image", "inspect", name]
    if subprocess.run(look, check=False, capture_output=True).returncode:
        _make(name, target)
    return name


def _make(name: str, target: str) -> None:
    if not may_install():
        msg = f"the image {name} is missing, and only root can make it, on Debian"
        raise NotAvailableError(msg)
    if shutil.which("mmdebstrap") is None:
        apt("install", "-q", "-y", "--no-install-recommends", "mmdebstrap")
    print(f"images: making {name} from Debian packages", file=sys.stderr, flush=True)
    image = IMAGES[target]
    with tempfile.TemporaryDirectory(prefix="durable-images-") as place:
        tree = Path(place) / "tree.tar"
        entry = Path(place) / "entry.sh"
        entry.write_text(image.entry, encoding="utf-8")
        entry.chmod(0o755)
        command = [
            "mmdebstrap", "--variant=minbase", "--mode=root", "--quiet",
            f"--include={','.join(image.packages)}",
            *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")),
            f"--customize-hook=copy-in {entry} /",
        ]  # fmt: skip
        if image.program is not None:
            command.append(f"--customize-hook=copy-in {image.program()} /usr/bin")
        command += [_suite(), str(tree), *_sources()]
        changes = ['ENTRYPOINT ["/entry.sh"]', f"EXPOSE {image.port}"]
        options = [part for change in changes for part in ("--change", change)]
        for program in (command, ["docker", "import", *options, str(tree), name]):
            if subprocess.run(program, check=False, stdout=sys.stderr).returncode:
                msg = f"`{program[0]}` failed: see above"
                raise NotAvailableError(msg)


def _suite() -> str:
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return values["VERSION_CODENAME"].strip('"')


def _sources() -> list[str]:
    """Return where this machine has its own packages from."""
    folder = Path("/etc/apt")
    found = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("debian.*"))]
    return [str(path) for path in found if path.exists()]


if __name__ == "__main__":
    try:
        for key, value in images(sys.argv[1:]).items():
            print(f"{key}={value}")
    except NotAvailableError as error:
        sys.exit(f"images: {error}")
