"""Examples in Markdown are tests: every ```python block of a document runs, in order, together.

A document whose examples need a server says so in a block that readers do not see,
`serve("postgres")`, and finds its URL in the environment as `DATABASE_URL`.
"""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

_STACK = "_durable_docs_stack"


def _enter(namespace: dict[str, Any]) -> None:
    """Give a document a folder of its own, and a way to start the server that it needs."""
    stack = namespace[_STACK] = ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="durable-docs-"))
    stack.callback(os.chdir, Path.cwd())
    os.chdir(folder)

    def serve(name: str) -> None:
        """Start a server for this document; called by a block that readers do not see."""
        # Most documents need no server, and nothing of it is loaded for them.
        import servers  # noqa: PLC0415

        variable = f"DURABLE_TEST_{name.upper()}_URL"
        found = stack.enter_context(servers.servers([name]))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("DATABASE_URL", found.get(variable) or os.environ[variable])

    namespace["serve"] = serve


def _leave(namespace: dict[str, Any]) -> None:
    namespace[_STACK].close()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["*.md"],
    setup=_enter,
    teardown=_leave,
).pytest()
