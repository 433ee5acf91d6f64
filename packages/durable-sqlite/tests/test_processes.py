"""Several processes on one file, and what is left when one is killed."""

import asyncio
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import closing
from pathlib import Path

import pytest
from lite import NOW, finish, held, new, opened

from durable_core.storage import Keep, Phase, Query, Ready, Release, Token

PROGRAM = Path(__file__).with_name("lite_process.py")


async def begin(act: str, path: Path, name: str) -> Process:
    """Start a process and wait until it has opened the file."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), act, str(path), name, stdin=PIPE, stdout=PIPE
    )
    assert await line_of(process) == "ready"
    return process


async def line_of(process: Process) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().strip()


def go(process: Process) -> None:
    """Let a process begin."""
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def test_processes_share_the_work_and_claim_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        await storage.insert(items=[held("p")], now=NOW)
        children = [new(f"c{n:03}", parent_id="p", root_id="p") for n in range(500)]
        release = Release(
            id="p",
            token=Token("anna", 1),
            phase=Phase.WAITING_FOR_CHILDREN,
            due=None,
            children=children,
        )
        assert (await storage.apply(items=[release], now=NOW))[0].outcome == "applied"
        workers = [await begin("claim", path, f"w{n}") for n in range(3)]
        outputs = await asyncio.gather(*(worker.communicate(b"\n") for worker in workers))
        lines = [line for output, _ in outputs for line in output.decode().splitlines()]
        assert [worker.returncode for worker in workers] == [0, 0, 0]
        # All children once, and the parent when the last of them had ended.
        assert sorted(lines) == sorted(
            f"{id_} applied" for id_ in ["p", *(child.id for child in children)]
        )
        assert await storage.count(query=Query()) == {"*": 501}
        (parent,) = await storage.get(ids=["p"])
        assert parent is not None
        assert (parent.pending, parent.phase) == (0, Phase.COMPLETED)


@pytest.mark.parametrize("round_", range(3))
async def test_what_was_acknowledged_survives_sigkill(tmp_path: Path, round_: int) -> None:
    path = tmp_path / "x.db"
    process = await begin("insert", path, "w")
    go(process)
    acknowledged = [await line_of(process) for _ in range(5 + 7 * round_)]
    process.kill()
    assert process.stdout is not None
    rest = (await process.stdout.read()).decode().splitlines()
    await process.wait()
    acknowledged += [line for line in rest if line.endswith(("0", "5"))]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    async with opened(path) as storage:
        number = int(acknowledged[-1].split("-")[1]) + 5
        found = await storage.get(ids=[f"w-{n}" for n in range(number)], payload=False)
        for place, row in enumerate(found):
            assert row is not None, place
            finished = place % 5 < 2
            assert (row.phase is Phase.COMPLETED, row.owner) == (
                finished,
                None if finished else "w",
            )
        # Nobody alive holds the rest: it becomes claimable.
        unfinished = sum(place % 5 >= 2 for place in range(number))
        assert (await storage.reap(now=NOW, limit=10_000)).rows >= unfinished


async def test_hints_cross_processes(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    process = await begin("insert", path, "w")
    async with opened(path, poll_interval=0.005) as storage:
        hints = storage.listen(queues=["default"])
        await anext(hints)
        go(process)
        async with asyncio.timeout(60):
            hint = await anext(hints)
            while isinstance(hint, Ready):
                hint = await anext(hints)
        process.kill()
        await process.wait()
        await hints.aclose()


async def test_two_storages_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as one, opened(path) as two:
        inserted = await asyncio.gather(
            *(
                storage.insert(items=[held(f"a{n}")], now=NOW)
                for n in range(50)
                for storage in (one, two)
            )
        )
        outcomes = [answer[0].outcome for answer in inserted]
        assert sorted(outcomes) == ["created"] * 50 + ["existing_id"] * 50
        ended = await asyncio.gather(
            *(
                storage.apply(items=[finish(f"a{n}")], now=NOW)
                for n in range(50)
                for storage in (one, two)
            )
        )
        outcomes_of_finish = sorted(answer[0].outcome for answer in ended)
        assert outcomes_of_finish == ["already"] * 50 + ["applied"] * 50


async def test_many_children_reach_the_file_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        await storage.insert(items=[held("p")], now=NOW)
        for part in range(3):
            children = [
                new(f"c{part}-{n}", parent_id="p", root_id="p", child_index=part * 900 + n)
                for n in range(900)
            ]
            keep = Keep(id="p", token=Token("anna", 1), children=children)
            before = storage.statistics()
            assert (await storage.apply(items=[keep], now=NOW))[0].outcome == "applied"
            after = storage.statistics()
            assert after.commits - before.commits == 1
            # Two reads, 14 + 4 inserts, the parent, the hint.
            assert after.table_statements - before.table_statements <= 24
        (parent,) = await storage.get(ids=["p"])
        assert parent is not None
        assert parent.pending == 2_700
        page = await storage.find(query=Query(parent_id="p"), limit=5_000)
        assert [row.child_index for row in page.items] == list(range(2_700))
