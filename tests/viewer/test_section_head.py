"""Title, note, actions and download of a part of a page, as one component."""

import pyarrow as pa

from flowglass.viewer.downloads import DownloadMenu, Extract
from flowglass.viewer.report import extracts
from flowglass.viewer.section_head import SectionHead


def test_what_is_told_can_be_taken_away() -> None:
    """The note is text; the report finds the rows as in any other menu."""
    head = SectionHead("Shares")
    assert not head.can_download

    rows = Extract("shares", pa.table({"a": [1]}), "SELECT 1 AS a")
    head.tell("By <group>", "1 < 2 & done", rows)

    assert (head.title, head.label, head.sql) == ("By <group>", "By <group>", rows.sql)
    assert head.note == "1 &lt; 2 &amp; done"
    assert head.can_download
    assert isinstance(head, DownloadMenu)
    assert list(extracts(head)) == [rows]


def test_what_is_missing_is_told_and_leaves_nothing_to_take() -> None:
    """Nor what was there before."""
    head = SectionHead("Shares")
    head.tell("Shares", "", Extract("shares", pa.table({"a": [1]}), ""))

    head.miss("Shares", "run with `--project all` <now>")

    code = "<code>--project all</code>"
    assert head.note == f'<div class="missing">run with {code} &lt;now&gt;</div>'
    assert not head.can_download
    assert head.extract().table.num_columns == 0


def test_actions_do_what_they_say_while_they_are_offered() -> None:
    """Their order stays."""
    done: list[str] = []
    head = SectionHead(
        "Prompts",
        actions=[["news", "Show new", False], ["all", "All", True]],
        acts={"news": lambda: done.append("news"), "all": lambda: done.append("all")},
    )

    head.offer("news", True)

    assert head.actions == [["news", "Show new", True], ["all", "All", True]]
    head._handle_msg({"act": "news"})
    assert done == ["news"]
