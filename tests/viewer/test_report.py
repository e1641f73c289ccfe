"""A page as one file, without a browser: what Python writes around what is shown."""

import csv
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import panel as pn
import pyarrow as pa
import pytest

from flowglass.store.store import Store
from flowglass.viewer.app import App
from flowglass.viewer.downloads import DownloadMenu, Extract
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.report import MOST_ROWS, POLICY, Report, Shown, around
from flowglass.viewer.sections import Heading
from flowglass.viewer.sheet import Sheet

from .conftest import FULL
from .page_stand import opened, run_of

HOSTILE = (
    "<script>window.hacked=1</script>",
    "</style></template></pre>",
    "\"'><img src=x onerror=hack()>",
    "&lt;b&gt;",
)


class Read(HTMLParser):
    """The elements of a file, and the texts of those of a kind."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


@pytest.fixture(scope="module")
def store(corpus_path: Path) -> Iterator[Store]:
    """A run with everything there is."""
    with opened(corpus_path) as there:
        yield there


def sheet_of(*extracts: Extract) -> Sheet:
    """A sheet whose sections can be taken away."""
    sheet = Sheet(lambda _: None)
    sheet.fill([Heading("h", extract=extract) for extract in extracts])
    return sheet


def written(
    root: Any, *, title: str = "t", run: Any = None, address: str = ""
) -> tuple[Read, str]:
    """The whole file, `here` in the place of what the browser shows."""
    before, after = around(Shown("p", root, title, run, dark=False), address=address)
    text = f"{before}here{after}"
    return Read(text), text


@pytest.mark.parametrize("dark", [False, True])
def test_a_file_may_load_nothing_and_runs_nothing(dark: bool) -> None:
    """By a policy of its own; the theme is that of the page."""
    shown = Shown("p", pn.Column(), "t", None, dark)
    before, after = around(shown, address="")
    file = Read(before + after)

    ((_, policy),) = (e for e in file.elements if e[1].get("http-equiv"))
    assert policy["content"] == POLICY
    assert POLICY.startswith("default-src 'none'")
    assert "script" not in POLICY
    assert before.count("src:url(data:font/woff2;base64,") == 2
    assert not file.tags & {"script", "link", "iframe", "img", "object", "base"}
    (body,) = (attributes for tag, attributes in file.elements if tag == "body")
    assert body["class"] == ("mui-dark" if dark else "mui-light")


def test_the_run_is_told_so_that_it_can_be_repeated(store: Store) -> None:
    """Model, its hash, versions and every option; and where it was looked at."""
    run = run_of(store, FULL)
    file, text = written(pn.Column(), run=run, address="?view=head&layer=1")
    values = dict(zip(file.texts["dt"], file.texts["dd"], strict=True))
    assert values["run_id"] == FULL
    assert values["model_hash"] == run["model_hash"]
    assert values["config"] == run["config"]
    assert values["versions"] == run["versions"]
    assert values["n_prompts"] == "32"
    assert values["address"] == "?view=head&layer=1"
    assert values["saved by"].startswith("flowglass ")
    assert "&amp;layer=1" in text


def test_tables_are_there_as_csv_with_their_query() -> None:
    """Every one in sight, once."""
    one = Extract("one", pa.table({"n": [1, 2], "token": [" a", None]}), "SELECT 1 < 2")
    other = Extract("other", pa.table({"x": [0.5]}), "SELECT x")
    hidden = pn.Column(
        sheet_of(Extract("not", pa.table({"x": [1]}), "")), visible=False
    )
    menu = DownloadMenu(lambda: other)
    file, _ = written(pn.Column(sheet_of(one, one), pn.Row(menu), hidden))

    assert file.texts["h3"] == ["one", "other"]
    assert file.texts["pre"][0] == "SELECT 1 < 2"
    rows = list(csv.reader(io.StringIO(file.texts["pre"][1])))
    assert rows == [["n", "token"], ["1", " a"], ["2", ""]]
    assert file.texts["summary"] == ["2 rows as CSV", "1 row as CSV"]


def test_a_long_table_is_cut_and_says_so() -> None:
    """Its first rows, and of how many."""
    long = Extract("long", pa.table({"n": list(range(MOST_ROWS + 1))}), "")
    file, _ = written(sheet_of(long))

    assert file.texts["summary"] == ["the first 5,000 of 5,001 rows as CSV"]
    rows = file.texts["pre"][0].split()
    assert (len(rows), rows[-1]) == (MOST_ROWS + 1, str(MOST_ROWS - 1))


@pytest.mark.parametrize("token", HOSTILE)
def test_hostile_text_stays_text(token: str) -> None:
    """As a title, a dataset's name, a token, a query, an address and a file's name."""
    extract = Extract(token, pa.table({token: [token]}), token)
    run = {"run_id": token, "datasets": [token], "n": 1}
    plain, _ = written(sheet_of(Extract("n", pa.table({"a": [1]}), "q")))
    file, _ = written(sheet_of(extract), title=token, run=run, address=token)

    assert file.tags <= plain.tags | {"dl", "dt", "dd", "h2"}
    assert file.texts["title"] == [token]
    assert file.texts["h3"] == [token]
    assert file.texts["pre"][0] == token
    assert token in file.texts["dd"]


def test_the_button_saves_what_is_on_the_screen(corpus_path: Path) -> None:
    """The page's root by its name, with its tables; the file has the page's name."""
    with opened(corpus_path) as store, Pulse(store) as pulse:
        app = App(pulse, path="runs/", query=f"?run={FULL}&view=head&layer=2&head=1")
        sent: list[dict[str, str]] = []
        app._report._send_msg = sent.append  # type: ignore[method-assign]

        app._report._handle_msg({"report": "?view=head"})

    (message,) = sent
    assert message["page"] == "page-head"
    assert message["file"] == "flowglass-layer-2-head-1.html"
    names = re.findall("<h3>(.*?)</h3>", message["after"])
    stem = f"{FULL}-layer-2-head-1-"
    wanted = ("roles", "offsets", "importance_by_category", "examples", "promoted")
    assert {stem + name for name in wanted} <= set(names)
    assert isinstance(app._report, Report)
