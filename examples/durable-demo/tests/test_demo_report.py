import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from demo_sample import NAMES, evidence, study

from durable_demo import markdown, plot, report, summary
from durable_demo.evidence import Evidence


def written(folder: Path, given: Evidence | None) -> dict[str, str]:
    report.write(folder, study(), given)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


class Texts(HTMLParser):
    """Collects a page's tags and texts, and sees that every tag is closed."""

    VOID = ("meta",)

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_pipeline_writes_a_report_that_knows_nothing_of_the_run(tmp_path: Path) -> None:
    files = written(tmp_path / "new" / "folder", None)

    assert set(files) == {"report.md", "report.html", "words.svg"}
    assert "kill" not in files["report.md"]
    assert "Approved by a test." in files["report.md"]


def test_the_run_is_added_when_it_is_over(tmp_path: Path) -> None:
    written(tmp_path, None)
    files = written(tmp_path, evidence())

    assert set(files) == {"report.md", "report.html", "words.svg", "timeline.svg"}
    headline = "Survived kill -9: 3 steps cut off, all ran again, no result recorded twice"
    assert headline in files["report.md"]
    assert headline in files["report.html"]


def test_the_page_names_every_cut_off_step_and_every_promise(tmp_path: Path) -> None:
    page = Texts(written(tmp_path, evidence())["report.html"])

    for text in ("fingerprint", "links", "reading", "b|c.md", "done, not recorded"):
        assert text in page.texts
    for check in evidence().checks:
        assert check.claim in page.texts
        assert check.seen in page.texts


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    html = written(tmp_path, evidence())["report.html"]

    assert not {"script", "link", "img", "iframe"} & set(Texts(html).tags)
    assert re.findall(r"""(?:src|href|url)\s*[=(]""", html) == []


def test_names_of_files_are_text_and_never_markup(tmp_path: Path) -> None:
    files = written(tmp_path, evidence())

    assert "<d>" not in files["report.html"]
    assert "docs/<d>.md" in Texts(files["report.html"]).texts
    assert "b\\|c.md" in files["report.md"]
    assert "docs/\\<d\\>.md" in files["report.md"]


def test_dark_ground_has_colours_of_its_own(tmp_path: Path) -> None:
    files = written(tmp_path, evidence())

    for name in ("report.html", "timeline.svg", "words.svg"):
        assert "@media(prefers-color-scheme:dark)" in files[name]


@pytest.mark.parametrize("name", ["timeline.svg", "words.svg"])
def test_plots_are_sound_xml_with_a_description(tmp_path: Path, name: str) -> None:
    written(tmp_path, evidence())

    root = ET.parse(tmp_path / name).getroot()  # noqa: S314 - written a line above

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["aria-label"]


def bars_of(svg: str) -> list[ET.Element]:
    root = ET.fromstring(svg)  # noqa: S314 - made by the plot
    return [bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("rx")]


def test_the_timeline_has_one_bar_per_run_by_how_it_ended() -> None:
    bars = bars_of(plot.timeline(evidence()))

    kinds = [bar.attrib["class"] for bar in bars]
    assert len(bars) == len(evidence().runs)
    assert kinds.count("cut") == 3
    assert kinds.count("again") == 2
    assert kinds.count("stopped") == 1
    assert kinds.count("failed") == 1


def test_bars_of_one_lane_do_not_overlap() -> None:
    lanes: dict[str, list[tuple[float, float]]] = {}
    for bar in bars_of(plot.timeline(evidence())):
        left = float(bar.attrib["x"])
        lanes.setdefault(bar.attrib["y"], []).append((left, left + float(bar.attrib["width"])))

    for lane in lanes.values():
        assert all(one[1] <= other[0] for one, other in pairwise(lane))


def test_a_run_without_kill_has_no_cut_and_says_so(tmp_path: Path) -> None:
    files = written(tmp_path, evidence(kill=False))

    assert "nothing was killed" in files["report.md"]
    assert 'class="kill"' not in files["timeline.svg"]
    assert "cut off and ran again" not in files["report.html"]


def test_a_broken_promise_is_the_headline(tmp_path: Path) -> None:
    given = evidence()
    first, *others = given.checks
    files = written(tmp_path, replace(given, checks=(replace(first, kept=False), *others)))

    assert "1 of 11 promises were broken" in files["report.md"]
    assert "**BROKEN**" in files["report.md"]
    assert 'class="verdict bad"' in files["report.html"]


def test_every_table_of_the_markdown_has_as_many_cells_as_its_head(tmp_path: Path) -> None:
    lines = written(tmp_path, evidence())["report.md"].splitlines()
    rows = [line for line in lines if line.startswith("|")]
    cells = {len(re.split(r"(?<!\\)\|", row)) for row in rows}

    assert len(rows) > len(NAMES)
    assert cells == {2 + len(head) for head in (summary.COLUMNS, summary.AGAIN_COLUMNS)} | {4, 5}


def test_text_is_escaped_for_markdown() -> None:
    assert markdown.escape("a*b|c\n[d](e)") == r"a\*b\|c \[d\](e)"


def test_the_longest_files_come_first() -> None:
    assert report.longest(study()) == [(NAMES[0], 3600), (NAMES[1], 2400), (NAMES[2], 1200)]


def test_what_a_step_did_not_find_out_says_why() -> None:
    assert summary.file_row(study().pages[1])[6] == "(timed out)"
