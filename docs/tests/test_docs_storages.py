"""The tables of storages are made from the certificates."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_documents_show_the_table_that_the_certificates_give() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "storage_table.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
