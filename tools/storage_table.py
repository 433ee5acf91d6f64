"""The table of storages, made from their certificates; fails if a document shows another one.

Without arguments it checks the documents against docs/certificates; `--write` writes the table into
them, `--adopt` takes new certificates from build/certificates first, and `--built` checks that the
latest runs still prove what is shown.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from workspace import CERTIFICATES, ROOT, targets

SHOWN = ROOT / "docs" / "certificates"
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "index.md")
_PLACE = re.compile(
    r"(<!-- storages: written by [^\n]*-->\n).*?(<!-- storages: end -->)", re.DOTALL
)
_PROVEN = ("certified", "level", "storage", "protocol", "capabilities", "abilities", "promises")


def certificates(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Return the certificates of a folder by target, in the order of the workspace's folders."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    known = list(targets())
    order = sorted(found, key=lambda name: known.index(name) if name in known else len(known))
    return {name: found[name] for name in order}


def table(shown: Mapping[str, Mapping[str, Any]], links_from: Path) -> str:
    """Return the table as Markdown.

    Args:
        shown: Certificates by target.
        links_from: The folder of the document.
    """
    lines = [
        "| storage | certified | durable | shared | push | transactional | largest payload |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(name, one, links_from))} |" for name, one in shown.items()]
    for name in targets():
        if name not in shown:
            lines.append(f"| {_link(name, links_from)} | not yet | | | | | |")
    return "\n".join(lines) + "\n"


def _cells(name: str, one: Mapping[str, Any], links_from: Path) -> Iterator[str]:
    able, can = one["abilities"], one["capabilities"]
    yield _link(name, links_from)
    yield f"{one['level']}, {one['date']}" if one["certified"] else "no"
    yield _yes(can["durable"])
    yield _yes(can["shared"])
    yield _yes(able["push"])
    yield _yes(able["transactional"])
    yield f"{can['max_payload'] / 2**20:g} MiB"


def _link(name: str, links_from: Path) -> str:
    file = targets().get(name)
    if file is None:
        return name
    readme = os.path.relpath(file.parents[1] / "README.md", links_from)
    return f"[{name}]({Path(readme).as_posix()})"


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _with_table(document: Path) -> tuple[str, str]:
    """Return the document as it is, and as it should be."""
    text = document.read_text("utf-8")
    made = table(certificates(SHOWN), document.parent)
    changed, places = _PLACE.subn(lambda match: f"{match[1]}\n{made}\n{match[2]}", text)
    if places != 1:
        sys.exit(f"{document.relative_to(ROOT)}: the table needs one place, there are {places}")
    return text, changed


def adopt() -> None:
    """Copy the certificates of storages that were certified by the latest runs."""
    SHOWN.mkdir(exist_ok=True)
    for name, one in certificates(CERTIFICATES).items():
        if one["certified"]:
            text = json.dumps(one, indent=2) + "\n"
            (SHOWN / f"{name}.json").write_text(text, encoding="utf-8")
        else:
            print(f"{name}: not certified, so not adopted")


def unproven() -> Iterator[str]:
    """Yield what the shown certificates claim and the latest runs do not prove."""
    built = certificates(CERTIFICATES)
    for name, one in certificates(SHOWN).items():
        if name not in built:
            yield f"{name}: was not certified by a run here: ./dev certify {name}"
            continue
        for field in _PROVEN:
            claimed, proven = _lasting(one[field]), _lasting(built[name][field])
            if claimed != proven:
                yield f"{name}: {field} is shown as {claimed!r}, proven is {proven!r}"


def _lasting(value: Any) -> Any:
    """Leave out what differs from machine to machine: the database's version is in that text."""
    if not isinstance(value, dict):
        return value
    return {
        name: one for name, one in cast("dict[str, Any]", value).items() if name != "durability"
    }


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments ask; returns the exit status."""
    parser = argparse.ArgumentParser(description="The table of storages, from their certificates.")
    parser.add_argument("--write", action="store_true", help="write it into the documents")
    parser.add_argument("--adopt", action="store_true", help="take certificates from build/, write")
    parser.add_argument("--built", action="store_true", help="compare with the latest runs")
    options = parser.parse_args(arguments)
    if options.adopt:
        adopt()
    problems = list(unproven()) if options.built else []
    for document in DOCUMENTS:
        text, changed = _with_table(document)
        if text == changed:
            continue
        if options.write or options.adopt:
            document.write_text(changed, encoding="utf-8")
        else:
            name = document.relative_to(ROOT)
            problems.append(f"{name}: its table is old: python tools/storage_table.py --write")
    print("\n".join(problems) or "storages: the tables say what the certificates say")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
