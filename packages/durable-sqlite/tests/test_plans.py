"""Hot statements find their rows by an index, whatever SQLite believes about the data."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from durable_core.storage import Query, Status
from durable_sqlite import bulk, statements
from durable_sqlite.reading import search
from durable_sqlite.schema import INDEXES, LEASES, TABLES


@pytest.fixture(params=["no statistics", "misleading statistics"])
def database(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for text in (*TABLES, *INDEXES, LEASES):
            connection.execute(text.replace("~", ""))
        if request.param == "misleading statistics":
            # An index on the owner looks as if it found one row of a million.
            connection.execute("ANALYZE")
            connection.executemany(
                "INSERT INTO sqlite_stat1 VALUES ('executions', ?, '1000000 1')",
                [("held",), ("marked",), ("finished",), ("created",)],
            )
            connection.execute("ANALYZE sqlite_master")
        yield connection


def _plan(database: sqlite3.Connection, text: str) -> list[str]:
    text = text.replace("~", "")
    number = max(text.count("?"), 1)
    for count in range(number, -1, -1):
        try:
            rows = database.execute(f"EXPLAIN QUERY PLAN {text}", [1] * count).fetchall()
        except sqlite3.ProgrammingError:
            continue
        # Newer releases of SQLite read less of the table.
        return [row[3].replace("COVERING ", "") for row in rows]
    raise AssertionError(text)


_BY_ID = "USING INDEX sqlite_autoindex_executions_1 (id=?)"
_BY_ROWID = "SEARCH executions USING INTEGER PRIMARY KEY (rowid=?)"

EXPECTED = {
    "HEAD": f"SEARCH executions {_BY_ID}",
    "RECORD": f"SEARCH executions {_BY_ID}",
    "RECORD_BY_KEY": "SEARCH executions USING INDEX keys (task=? AND key=?)",
    "RECORD_BY_WAKE_KEY": "SEARCH executions USING INDEX sleepers (task=? AND wake_key=?)",
    "SLEEPER": "SEARCH executions USING INDEX sleepers (task=? AND wake_key=?)",
    "SLEEPER_ID": "SEARCH executions USING INDEX sleepers (task=? AND wake_key=?)",
    "INSERTED_AFTER": "SEARCH executions USING INTEGER PRIMARY KEY (rowid>?)",
    "CHILD_ENDED": f"SEARCH executions {_BY_ID}",
    "READY": "SEARCH executions USING INDEX ready (queue=? AND task=?)",
    "DUTIES": "SCAN executions USING INDEX duties",
    "SCHEDULED": "SEARCH executions USING INDEX scheduled (queue=? AND task=?)",
    "POSTPONED": "SCAN executions USING INDEX postponed",
    "BY_ROWIDS": _BY_ROWID,
    "PROMOTE": _BY_ROWID,
    "CLAIM": _BY_ROWID,
    "CLAIMABLE_BY_ID": f"SEARCH executions {_BY_ID}",
    "OF_CHILDREN": f"SEARCH executions {_BY_ID}",
    "MAILBOX": "SEARCH mailboxes USING INDEX sqlite_autoindex_mailboxes_1",
    "BORN_FINISHED": f"SEARCH executions {_BY_ID}",
    "BOUND_CHECKPOINT": f"SEARCH executions {_BY_ID}",
    "RENEW": "SEARCH leases USING PRIMARY KEY (executor=?)",
    "ORDERS": "SEARCH executions USING INDEX marked (owner=?)",
    "HELD_BY": "SEARCH executions USING INDEX held (owner=?)",
    "FREE": _BY_ROWID,
    "HEADS": f"SEARCH executions {_BY_ID}",
    "RECORDS": f"SEARCH executions {_BY_ID}",
    "OVER": "SEARCH e USING INDEX finished (finished_at<?)",
    "PURGED": _BY_ROWID,
    "PURGED_CHECKPOINTS": "SEARCH checkpoints USING INDEX names (execution_id=?)",
    "VACATED": "SEARCH mailboxes USING INDEX sqlite_autoindex_mailboxes_1",
    "FORGET_MESSAGES": "SEARCH mailboxes USING INDEX messages (message_until<?)",
    "FORGET_MAILBOXES": "SCAN mailboxes USING INDEX idle",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_plan(database: sqlite3.Connection, name: str) -> None:
    plan = _plan(database, getattr(statements, name))
    assert any(step.startswith(EXPECTED[name]) for step in plan), plan
    assert not [step for step in plan if "TEMP B-TREE" in step], plan
    assert not [step for step in plan if step in ("SCAN executions", "SCAN checkpoints")], plan


def test_every_statement_on_executions_is_looked_at() -> None:
    texts = {name: text for name, text in vars(statements).items() if name.isupper()}
    apart = {
        "HEAD_COLUMNS", "RECORD_COLUMNS", "INSERTS", "WAITING", "WAITING_DUTIES", "OWNERS",
    }  # fmt: skip
    assert {name for name, text in texts.items() if "~executions" in text} <= {*EXPECTED} | apart


def test_a_claim_looks_at_the_head_of_every_task(database: sqlite3.Connection) -> None:
    plan = _plan(database, statements.WAITING)
    assert "SEARCH executions USING INDEX ready (queue=? AND task=?)" in plan
    assert "SEARCH executions USING INDEX scheduled (queue=? AND task=?)" in plan


def test_reaping_jumps_from_owner_to_owner(database: sqlite3.Connection) -> None:
    plan = _plan(database, statements.OWNERS)
    assert "SEARCH e USING INDEX held (owner>?)" in plan
    assert "SCAN executions" not in plan


@pytest.mark.parametrize("size", bulk.SIZES)
def test_finishing_goes_from_item_to_row(database: sqlite3.Connection, size: int) -> None:
    plan = _plan(database, bulk.finish_text(["output"], 16, size))
    assert "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)" in plan
    assert f"SEARCH executions {_BY_ID}" in plan
    order = [step.split(" USING")[0] for step in plan if step.startswith(("SCAN", "SEARCH e "))]
    assert order[-2:] == ["SCAN v", "SEARCH e"], plan


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(), "SCAN executions USING INDEX created"),
        (Query(owner="anna"), "SEARCH executions USING INDEX held (owner=?)"),
        (Query(parent_id="a"), "SEARCH executions USING INDEX children (parent_id=?)"),
        (Query(root_id="a"), "SEARCH executions USING INDEX descendants (root_id=?)"),
        (Query(statuses=frozenset({Status.RUNNING})), "executions USING INDEX held"),
    ],
)
def test_searches(database: sqlite3.Connection, query: Query, index: str) -> None:
    text, parameters = search(query, 10, None, payload=False)
    rows = database.execute(f"EXPLAIN QUERY PLAN {text.replace('~', '')}", parameters).fetchall()
    assert any(index in row[3] for row in rows), rows
