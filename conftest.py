"""Examples in Markdown are tests: every ```python block of a document runs, in order, together."""

import os
import tempfile
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

_HERE = "_durable_docs_cwd"
_FOLDER = "_durable_docs_folder"


def _enter(namespace: dict[str, Any]) -> None:
    """Give a document a folder of its own: examples may write files."""
    folder = tempfile.TemporaryDirectory(prefix="durable-docs-")
    namespace[_HERE] = Path.cwd()
    namespace[_FOLDER] = folder
    os.chdir(folder.name)


def _leave(namespace: dict[str, Any]) -> None:
    os.chdir(namespace[_HERE])
    namespace[_FOLDER].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["*.md"],
    setup=_enter,
    teardown=_leave,
).pytest()
