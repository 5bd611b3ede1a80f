"""`demo` as a user types it: a table, and a page that says the same and asks for nothing."""

import json
import re
from html.parser import HTMLParser

import pytest

from cli.mistakes import mistake
from radiofix.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A page after two steps of learning from twenty points, and what was printed."""
    import contextlib
    import io

    out = tmp_path_factory.mktemp("demo") / "demo.html"
    arguments = ["demo", "--out", str(out), "--labels", "20", "--steps", "2", "--phones", "12"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(arguments) == 0
    return out.read_text(), printed.getvalue()


class Cells(HTMLParser):
    """The rows of the page's table."""

    def __init__(self):
        super().__init__()
        self.rows, self.inside = [], False

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("td", "th") or (self.inside and tag == "span")

    def handle_data(self, text):
        if self.inside:
            self.rows[-1].append(text)

    def handle_endtag(self, tag):
        self.inside = self.inside and tag == "span"


def test_the_table_in_the_page_is_the_one_that_is_printed(run):
    page, printed = run
    cells = Cells()
    cells.feed(page[page.index("<table>") : page.index("</table>")])
    lines = [re.split(r"  +", line.strip()) for line in printed.splitlines()]
    assert len(cells.rows) == 7
    for row in cells.rows:
        assert row in lines


def test_the_page_asks_nobody_for_anything(run):
    page, _ = run
    assert not re.search(r"https?:", page)
    assert not re.search(r"<(script|link|iframe)\b|@import|url\(", page)
    assert re.findall(r'(?:href|src)="([^"]{0,22})', page) == ["data:image/png;base64,"]


def test_the_page_has_its_drawings_and_is_whole(run):
    page, _ = run
    assert page.count("<svg") == page.count("</svg>") == 7
    assert "$" not in page
    assert not re.search(r"\bnan\b", re.sub(r'base64,[^"]*', "", page))
    assert page.count('class="ellipse"') == page.count('class="phone"') > 0


def test_the_figures_come_for_machines_too(capsys, tmp_path):
    out = tmp_path / "page.html"
    line = ["demo", "--out", str(out), "--labels", "20", "--steps", "1", "--phones", "4", "--json"]
    assert main(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["phones"], told["labels"]) == (4, 20)
    assert all(set(m) == {"median", "mean", "p90"} for m in told["methods"].values())


def test_mistakes_are_one_line(capsys, tmp_path):
    assert "end it in .html" in mistake(capsys, "demo", "--out", tmp_path / "page.pdf")
    few = mistake(capsys, "demo", "--out", tmp_path / "p.html", "--labels", "5")
    assert "labels must be from 20 to 1,199, got 5" in few
