"""Hot statements find their rows by an index, whatever SQLite believes about the data."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from durable_core.storage import Query, Status
from durable_sqlite import bulk, statements
from durable_sqlite.reading import search
from durable_sqlite.schema import INDEXES, LEASES, TABLES


@pytest.fixture(params=["no statistics", "of one row", "of a million"])
def database(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """A database where ANALYZE was never called, or once when there was next to nothing."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for text in (*TABLES, *INDEXES, LEASES):
            connection.execute(text.replace("~", ""))
        number = {"of one row": "1", "of a million": "1000000"}.get(request.param)
        if number is not None:
            connection.execute("ANALYZE")
            indexes = connection.execute(
                "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index'"
            ).fetchall()
            for table, index in indexes:
                columns = connection.execute(f"PRAGMA index_info({index})").fetchall()
                # As if every index found a single row, the one on the owner too.
                estimate = " ".join([number] + ["1"] * len(columns))
                connection.execute(
                    "INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", (table, index, estimate)
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

_WALKS = re.compile(r"SCAN (executions|checkpoints|mailboxes|e)|BLOOM FILTER ON .*")
"""Steps that touch every row of a table."""

EXPECTED = {
    "HEAD": f"SEARCH executions {_BY_ID}",
    "RECORD": f"SEARCH executions {_BY_ID}",
    "RECORD_BY_KEY": "SEARCH executions USING INDEX keys (task=? AND key=?)",
    "RECORD_BY_WAKE_KEY": "SEARCH executions USING INDEX sleepers (task=? AND wake_key=?)",
    "SLEEPER": "SEARCH executions USING INDEX sleepers (task=? AND wake_key=?)",
    "SLEEPER_ID": "SEARCH executions USING INDEX sleepers (task=? AND wake_key=?)",
    "CHILD_ENDED": f"SEARCH executions {_BY_ID}",
    "READY": "SEARCH executions USING INDEX ready (queue=? AND task=?)",
    "DUTIES": "SCAN executions USING INDEX duties",
    "EARLY": "SEARCH executions USING INDEX ready (queue=? AND task=?)",
    "EARLY_DUTIES": "SCAN executions USING INDEX duties",
    "SCHEDULED": "SEARCH executions USING INDEX scheduled (queue=? AND task=?)",
    "POSTPONED": "SCAN executions USING INDEX postponed",
    "PROMOTE": f"SEARCH executions {_BY_ID}",
    "CLAIM": f"SEARCH executions {_BY_ID}",
    "CLAIMABLE_BY_ID": f"SEARCH executions {_BY_ID}",
    "OF_CHILDREN": f"SEARCH executions {_BY_ID}",
    "MAILBOX": "SEARCH mailboxes USING INDEX sqlite_autoindex_mailboxes_1",
    "BORN_FINISHED": f"SEARCH executions {_BY_ID}",
    "BOUND_CHECKPOINT": f"SEARCH executions {_BY_ID}",
    "RENEW": "SEARCH leases USING PRIMARY KEY (executor=?)",
    "ORDERS": "SEARCH executions USING INDEX marked (owner=?)",
    "HELD_BY": "SEARCH executions USING INDEX held (owner=?)",
    "FREE": f"SEARCH executions {_BY_ID}",
    "HEADS": f"SEARCH executions {_BY_ID}",
    "RECORDS": f"SEARCH executions {_BY_ID}",
    "OVER": "SEARCH e USING INDEX finished (finished_at<?)",
    "PURGED": f"SEARCH executions {_BY_ID}",
    "PURGED_CHECKPOINTS": "SEARCH checkpoints USING INDEX names (execution_id=?)",
    "VACATED": "SEARCH mailboxes USING INDEX sqlite_autoindex_mailboxes_1",
    "CHECKPOINTS": "SEARCH checkpoints USING INDEX names (execution_id=?)",
    "EXPIRED_MESSAGES": "SEARCH mailboxes USING INDEX messages (message_until<?)",
    "FORGET_MESSAGE": "SEARCH mailboxes USING INDEX sqlite_autoindex_mailboxes_1",
    "IDLE_MAILBOXES": "SCAN mailboxes USING INDEX idle",
    "FORGET_MAILBOX": "SEARCH mailboxes USING INDEX sqlite_autoindex_mailboxes_1",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_plan(database: sqlite3.Connection, name: str) -> None:
    plan = _plan(database, getattr(statements, name))
    assert any(step.startswith(EXPECTED[name]) for step in plan), plan
    assert not [step for step in plan if "TEMP B-TREE" in step and name != "CHECKPOINTS"], plan
    assert not [step for step in plan if _WALKS.fullmatch(step)], plan


def test_every_statement_on_executions_is_looked_at() -> None:
    texts = {name: text for name, text in vars(statements).items() if name.isupper()}
    apart = {
        "HEAD_COLUMNS", "RECORD_COLUMNS", "INSERTS", "FINISHES", "NEWEST", "WAITING", "OWNERS",
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
    assert f"SEARCH e {_BY_ID}" in plan
    assert [step for step in plan if "SCAN" in step and "executions" in step] == []
    assert not [step for step in plan if _WALKS.fullmatch(step)], plan


def test_the_newest_rows_are_read_from_the_end(database: sqlite3.Connection) -> None:
    assert _plan(database, statements.NEWEST) == ["SCAN executions"]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(), "SCAN executions USING INDEX created"),
        (Query(owner="anna"), "SEARCH executions USING INDEX held (owner=?)"),
        (Query(parent_id="a"), "SEARCH executions USING INDEX children (parent_id=?)"),
        (Query(root_id="a"), "SEARCH executions USING INDEX descendants (root_id=?)"),
        (Query(root_id="a"), "SEARCH executions USING INDEX sqlite_autoindex_executions_1 (id=?)"),
        (
            Query(id_prefix="a"),
            "executions USING INDEX sqlite_autoindex_executions_1 (id>? AND id<?)",
        ),
        (Query(finished_from=1), "SEARCH executions USING INDEX finished (finished_at>?)"),
        (Query(statuses=frozenset({Status.RUNNING})), "executions USING INDEX held"),
    ],
)
def test_searches(database: sqlite3.Connection, query: Query, index: str) -> None:
    text, parameters = search(query, 10, None, payload=False)
    rows = database.execute(f"EXPLAIN QUERY PLAN {text.replace('~', '')}", parameters).fetchall()
    assert any(index in row[3] for row in rows), rows
    assert not [row for row in rows if _WALKS.fullmatch(row[3])], rows
