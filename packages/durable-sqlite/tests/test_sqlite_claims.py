"""What only a claim on SQLite can get wrong."""

from pathlib import Path

from lite import ANNA, NOW, SECOND, claim, finish, held, new, opened

from durable_core.storage import NewExecution, Release, Settle, Token


async def test_a_row_of_a_writer_whose_clock_is_ahead_is_announced(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        ahead = NOW + SECOND
        items = [new("early", due=ahead), new("urgent", due=ahead, priority=9)]
        items.append(new("earlier", due=ahead - 1))
        await storage.insert(items=items, now=ahead)
        claimed = await storage.claim(
            executor=ANNA, tasks=["work"], queues=["default"], limit=5, now=NOW
        )
        assert (claimed.records, claimed.exhausted, claimed.next_due) == ([], True, ahead - 1)
        assert await claim(storage, now=ahead) == ["urgent", "earlier", "early"]


async def test_a_duty_of_a_writer_whose_clock_is_ahead_is_announced(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        ahead = NOW + SECOND
        await storage.insert(items=[held("p")], now=NOW)
        child = NewExecution(id="c", task="work", parent_id="p", root_id="p", due=None)
        keep = Release(id="p", token=Token(ANNA, 1), phase=new("x").phase, due=0, children=[child])
        await storage.apply(items=[keep], now=NOW)
        assert await claim(storage) == ["p"]
        await storage.apply(items=[finish("p", gen=2)], now=NOW)
        assert await claim(storage) == ["p"]
        await storage.apply(items=[Settle(id="p", token=Token(ANNA, 3), due=ahead)], now=ahead)
        claimed = await storage.claim(executor=ANNA, tasks=[], queues=[], limit=5, now=NOW)
        assert (claimed.records, claimed.exhausted, claimed.next_due) == ([], True, ahead)
        assert await claim(storage, now=ahead) == ["p"]


async def test_many_scheduled_rows_come_due_at_once(tmp_path: Path) -> None:
    """More than a claim sorts at a time: all are claimed, each once, the urgent ones early."""
    async with opened(tmp_path / "x.db", synchronous="OFF") as storage:
        due = NOW + SECOND
        for part in range(3):
            items = [new(f"{part}-{n:03}", due=due + n % 7, priority=n % 3) for n in range(900)]
            await storage.insert(items=items, now=NOW)
        assert await claim(storage) == []
        taken: list[str] = []
        while True:
            claimed = await storage.claim(
                executor=ANNA, tasks=["work"], queues=["default"], limit=100, now=due + 10
            )
            priorities = [record.priority for record in claimed.records]
            assert priorities == sorted(priorities, reverse=True)
            taken += [record.id for record in claimed.records]
            if claimed.exhausted:
                break
        assert len(taken) == len({*taken}) == 2_700


async def test_more_tasks_than_prepared_cursors(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        tasks = [f"t{n}" for n in range(100)]
        items = [
            NewExecution(id=f"{task}-{n}", task=task, priority=n, due=n * 1_000 + place)
            for place, task in enumerate(tasks)
            for n in range(3)
        ]
        await storage.insert(items=items, now=NOW)
        expected = [item.id for item in sorted(items, key=lambda i: (-i.priority, i.due or 0))]
        assert await claim(storage, limit=250, tasks=tasks) == expected[:250]
        assert await claim(storage, limit=250, tasks=tasks) == expected[250:]
