"""The command line: certify a storage, list the promises, print the protocol, show certificates."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from .promises import AREAS, Promise

_DESCRIPTION = """\
Certify that a storage keeps the promises of the durable storage protocol.

A storage is certified by a test file with a subclass of StorageConformance that
defines open(). `pytest` runs it like any test; `durable-conformance certify`
runs it and leaves a certificate.
"""

_CERTIFY = """\
Run every check on a storage and write its certificate.

TARGET is a test file, a class in it (file.py::TestFoo), or a short name: `foo`
stands for class TestFoo, or for all classes of the folder durable-foo, in a
tests/test_conformance.py of this project or of a member of its workspace.

What follows -- is for pytest: durable-conformance certify foo -- -n 4

Exit status: 0 certified, 1 not certified, 2 no such target.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    mine = list(sys.argv[1:] if arguments is None else arguments)
    end = mine.index("--") if "--" in mine else len(mine)
    options = _parser().parse_args(mine[:end])
    command = options.command
    if command == "certify":
        from .certifying import certify  # noqa: PLC0415 - starts without what it does not need

        return certify(
            options.target,
            certificate=options.certificate,
            name=options.name,
            rows=options.rows,
            seed=options.seed,
            more=mine[end + 1 :],
        )
    if command == "promises":
        return _promises(options.areas)
    if command == "reference":
        from .reference import reference  # noqa: PLC0415

        sys.stdout.write(reference())
        return 0
    return _page(options.certificate, options.output)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="durable-conformance", description=_DESCRIPTION, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    certify = commands.add_parser(
        "certify", help="run every check and write a certificate", description=_CERTIFY,
        formatter_class=raw,
    )  # fmt: skip
    certify.add_argument("target", metavar="TARGET", help="file, file::Class or short name")
    certify.add_argument(
        "--certificate", type=Path, metavar="PATH",
        help="where to write it (default: build/certificates/<name>.json)",
    )  # fmt: skip
    certify.add_argument(
        "--target", dest="name", metavar="NAME",
        help="the storage's name in the certificate (default: from TARGET)",
    )  # fmt: skip
    certify.add_argument(
        "--rows", type=int, metavar="N", help="rows in crowded queues and largest calls"
    )
    certify.add_argument("--seed", type=int, metavar="N", help="repeat a run's random choices")
    promises = commands.add_parser("promises", help="list the promises")
    promises.add_argument("areas", nargs="*", metavar="AREA", help="only these, such as CLAIM")

    commands.add_parser("reference", help="print the normative text of the protocol (Markdown)")

    page = commands.add_parser("page", help="show a certificate as a page (Markdown)")
    page.add_argument("certificate", type=Path, metavar="CERT.json")
    page.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(text: str) -> int:
    sys.stderr.write(f"durable-conformance: {text}\n")
    return 2


def _promises(areas: Sequence[str]) -> int:
    wanted = [area.upper() for area in areas] or list(AREAS)
    unknown = [area for area in wanted if area not in AREAS]
    if unknown:
        return _complain(f"no area {', '.join(unknown)}; there are {', '.join(AREAS)}")
    for area in wanted:
        for promise in AREAS[area]:
            _say(f"{promise.id}  [{_conditions(promise)}]\n    {promise.text}")
    return 0


def _conditions(promise: Promise) -> str:
    words = [str(promise.level)]
    if promise.requires is not None:
        words.append(f"if {promise.requires}")
    if promise.hook is not None:
        words.append(f"needs {promise.hook}()")
    words += [
        f"again at {again.level}" + (f", needs {again.hook}()" if again.hook else "")
        for again in promise.again
    ]
    return "; ".join(words)


def _page(certificate: Path, output: Path | None) -> int:
    from .certificate import FORMAT, page  # noqa: PLC0415

    try:
        read: object = json.loads(certificate.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return _complain(f"{certificate} cannot be read: {error}")
    one: dict[str, Any] = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    if one.get("format") != FORMAT:
        return _complain(f"{certificate} is no certificate of this release ({FORMAT})")
    text = page(one)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
    return 0
