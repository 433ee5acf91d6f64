"""The guides' examples run on PostgreSQL when nothing but the constructor is changed."""

import asyncio
import re
from collections.abc import Generator
from pathlib import Path

import asyncpg
import pytest
from postgres_hooks import fresh_schema, server_url

from durable_postgres import PostgresStorage

ROOT = Path(__file__).resolve().parents[3]

DOCUMENTS = [
    "README.md",
    "docs/how-to/cancel.md",
    "docs/how-to/check-inputs.md",
    "docs/how-to/enqueue-once.md",
    "docs/how-to/fan-out-and-join.md",
    "docs/how-to/retries-and-timeouts.md",
    "docs/how-to/sequences-and-loops.md",
    "docs/how-to/wait-for-the-outside-world.md",
]

_BLOCK = re.compile(
    r"^```python\n(.*?)^```|<!--- invisible-code-block: python\n(.*?)^-->", re.MULTILINE | re.DOTALL
)
_CONSTRUCTOR = re.compile(r"\b(?:Memory|SQLite)Storage\(([^)]*)\)")


class Storages:
    """Makes storages: each call a schema of its own, the same one for the same file."""

    def __init__(self) -> None:
        self.schemas: dict[str, str] = {}

    def __call__(self, *file: str) -> PostgresStorage:
        name = file[0] if file else fresh_schema("key")
        schema = self.schemas.setdefault(name, fresh_schema("document"))
        return PostgresStorage.from_url(server_url(), schema=schema)


@pytest.fixture
def storages() -> Generator[Storages]:
    made = Storages()
    yield made

    async def drop() -> None:
        driver = await asyncpg.connect(server_url().render_as_string(hide_password=False))
        await driver.execute("SET client_min_messages = warning")
        for schema in made.schemas.values():
            await driver.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        await driver.close()

    asyncio.run(drop())


def code_of(document: str) -> str:
    """Return a document's examples, with another constructor."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = ["".join(groups) for groups in _BLOCK.findall(text)]
    changed, count = _CONSTRUCTOR.subn(r"new_storage(\1)", "\n".join(blocks))
    assert count, f"{document} has no constructor that can be changed"
    return changed


@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples_with_another_constructor(
    document: str, storages: Storages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = compile(code_of(document), document, "exec")
    exec(code, {"__name__": "example", "new_storage": storages})  # noqa: S102 - our own documents
    assert storages.schemas
