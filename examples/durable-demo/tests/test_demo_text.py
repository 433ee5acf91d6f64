import hashlib

import pytest

from durable_demo import text


def test_a_fingerprint_is_the_hash_of_the_bytes() -> None:
    found = text.take_fingerprint(b"durable\0")

    assert found == text.Fingerprint(hashlib.sha256(b"durable\0").hexdigest(), 8)


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("a.md", "---\nx: 1\n---\nintro\n\n## The `title` ##\n", "The `title`"),
        ("a.md", "```sh\n# no title\n```\n# A title\n", "A title"),
        ("a.md", "no heading here\nmore\n", "no heading here"),
        ("a.py", '#!/usr/bin/env python\n"""What it is for.\n\nMore."""\n', "What it is for."),
        ("a.py", "import os\n", "import os"),
        ("a.html", "<html><title>\n A\n  page </title>", "A page"),
        ("a.txt", "\n\n=====\n Some   words \n", "Some words"),
        ("a.toml", "# settings of it\nx = 1\n", "settings of it"),
        ("a.txt", "\n \n", "(empty)"),
    ],
)
def test_titles(name: str, content: str, title: str) -> None:
    assert text.find_title(name, content) == text.Title(title)


def test_words_are_counted_without_regard_to_case() -> None:
    found = text.count_words("The lease, the LEASE and the token's 42 gens.\nLease!\n")

    assert found == text.Words(words=9, distinct=5, lines=2, common=("lease", "gens", "token's"))


def test_nothing_has_no_words() -> None:
    assert text.count_words("") == text.Words(words=0, distinct=0, lines=0, common=())
    assert text.measure_reading("") == text.Reading(minutes=0.0, words_per_sentence=0.0)


def test_links_of_markdown_and_bare_addresses() -> None:
    content = (
        '[a](docs/a.md#top) ![image](b.png) [c](<d.md> "title") https://example.org/x).\n'
        "```\n[code](gone.md)\n```\n"
    )

    assert text.find_links("x.md", content) == ["docs/a.md#top", "d.md", "https://example.org/x"]
    assert text.find_links("x.py", content) == ["https://example.org/x"]


def test_relative_paths_are_what_can_be_looked_up() -> None:
    links = ["docs/a%20b.md#top", "#here", "https://example.org/x", "mailto:a@b", "../c?d", "/e"]

    assert list(text.relative_paths(links)) == [
        ("docs/a%20b.md#top", "docs/a b.md"),
        ("../c?d", "../c"),
    ]


def test_reading_takes_minutes_and_sentences_have_words() -> None:
    found = text.measure_reading("One two three. Four five!\n\nSix\n" + "seven " * 214)

    assert found.minutes == 1.0
    assert found.words_per_sentence == round(220 / 3, 1)
