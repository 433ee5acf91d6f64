"""Redis Cluster: three nodes, each with a third of the slots."""

import os
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .machine import PATIENCE, NotAvailableError
from .redis_family import (
    PrivateRedis,
    ask,
    install_redis,
    redis_program,
    running,
    valkey_program,
)
from .restarting import restart_command

URL = "DURABLE_TEST_REDIS_CLUSTER_URL"
"""Names a node of a cluster to use; the tests make and delete namespaces of their own there."""

RESTART = "DURABLE_TEST_REDIS_CLUSTER_RESTART"
"""A command that kills all nodes and starts them again; without it no test does so."""

_SLOTS: Final = ((0, 5460), (5461, 10922), (10923, 16383))


@contextmanager
def serve() -> Generator[dict[str, str]]:
    """Yield the environment in which a cluster can be reached.

    In this order: the cluster that `URL` names; programs on this machine. There is no container:
    the nodes would tell addresses that only other containers can reach.

    Raises:
        NotAvailableError: None of them; with what to install.
    """
    if URL in os.environ:
        yield {}
        return
    program = redis_program() or valkey_program()
    if program is None:
        msg = (
            "no Redis server for a cluster: install one with `sudo apt-get install redis-server` "
            f"(or `brew install redis`), or name a cluster that is running: {URL}=redis://…"
        )
        raise NotAvailableError(msg)
    with tempfile.TemporaryDirectory(prefix="durable-redis-cluster-") as name:
        folder = Path(name)
        nodes = [
            PrivateRedis.make(folder / f"{number}", program, cluster=True)
            for number in range(len(_SLOTS))
        ]
        with running(nodes):
            _join(nodes)
            url = nodes[0].url.replace("redis://", "redis+cluster://")
            yield {URL: url, RESTART: restart_command("redis-cluster", folder)}


def _join(nodes: Sequence[PrivateRedis]) -> None:
    for epoch, (node, (first, last)) in enumerate(zip(nodes, _SLOTS, strict=True), 1):
        ask(node.port, f"CLUSTER SET-CONFIG-EPOCH {epoch}")
        ask(node.port, f"CLUSTER ADDSLOTSRANGE {first} {last}")
    for node in nodes[1:]:
        ask(nodes[0].port, f"CLUSTER MEET 127.0.0.1 {node.port} {node.bus}")
    _wait(nodes)


def _wait(nodes: Sequence[PrivateRedis]) -> None:
    """Return when every node knows where all slots are."""
    deadline = time.monotonic() + PATIENCE
    for node in nodes:
        while True:
            facts = dict(
                line.split(":", 1)
                for line in ask(node.port, "CLUSTER INFO").splitlines()
                if ":" in line
            )
            if facts["cluster_state"] == "ok" and facts["cluster_slots_ok"] == "16384":
                break
            if time.monotonic() > deadline:
                msg = f"the nodes did not become a cluster: {facts}"
                raise NotAvailableError(msg)
            time.sleep(0.05)


def restart(folder: Path) -> None:
    """Kill all nodes and start them again."""
    nodes = [PrivateRedis.load(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    for node in nodes:
        node.kill()
    for node in nodes:
        node.start()
    _wait(nodes)


def install() -> None:
    """Install the server's program where there is none and this may be done: root, on Debian."""
    install_redis(URL)
