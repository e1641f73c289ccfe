"""A query's answer: its rows in pages, sorted as asked, with links, to take away."""

from collections.abc import Collection
from dataclasses import asdict
from threading import RLock
from typing import Any

import panel as pn
import panel_material_ui as pmu
import pyarrow as pa
import pyarrow.compute as pc
from param.parameterized import Event

from flowglass.store.sandbox import Rows

from .data_table import DataTable
from .downloads import DownloadMenu, Extract
from .plot_panel import PlotPanel
from .result_cells import NULL, cells_of, columns_of
from .row_links import link_of, run_of_query
from .selection import Selection
from .theme import NOTE_STYLE
from .views import VIEWS

PAGE_SIZE = 25
MOST_COLUMNS = 80
ROOMY = 1.25
"""How much wider than its text a small table may be drawn; the plot has the rest."""


class SqlResult:
    """Shows the rows of one query at a time."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._lock = RLock()  # a session's events run in several threads
        self._table = pa.table({})
        self._order: pa.Array | None = None
        self._sql = ""
        self._page = 0
        self._run: str | None = None
        self._links: list[str] = []
        self._note = pn.pane.HTML(stylesheets=[NOTE_STYLE], margin=0)
        self._download = DownloadMenu(self._extract, label="the rows", margin=0)
        self._rows = DataTable(
            (),
            on_open=self._open,
            on_sort=self._sort,
            label="Result",
            empty="No row answers it.",
            sizing_mode="stretch_width",
            margin=0,
        )
        self._pager = pmu.Pagination(count=1, value=0, margin=(12, 0, 0, 0))
        self._pager.param.watch(self._page_changed, "value")
        self._left = pn.Column(self._rows, self._pager, margin=0)
        self.plot = PlotPanel()
        self.root = pn.Column(
            pn.FlexBox(
                self._note,
                self._download,
                justify_content="space-between",
                align_items="center",
                sizing_mode="stretch_width",
                margin=(10, 0, 6, 0),
            ),
            pn.FlexBox(
                self._left,
                self.plot.root,
                flex_wrap="wrap",
                align_items="flex-start",
                gap="18px 48px",
                sizing_mode="stretch_width",
                margin=0,
            ),
            sizing_mode="stretch_width",
            visible=False,
            margin=0,
        )

    def show(self, rows: Rows, sql: str, runs: Collection[str]) -> None:
        """Show an answer to a query of a store with these runs."""
        with self._lock:
            self._table = rows.table
            self._order = None
            self._sql = sql
            self._run = run_of_query(sql, runs)
            self._note.object = self._said(rows)
            self._download.sql = sql
            self._show_rows(sort="", page=0)
            self.root.visible = True

    def draw(self) -> None:
        """Plot the answer; the first time takes a second or two."""
        self.plot.show(self._table)

    def clear(self) -> None:
        """There is no answer."""
        self.root.visible = False
        self.plot.clear()

    def _said(self, rows: Rows) -> str:
        said = [counted(rows)]
        columns = self._table.column_names
        if len(columns) > MOST_COLUMNS:
            said.append(f"The first {MOST_COLUMNS} of {len(columns):,} columns.")
        unsure = "run_id" not in columns and self._run is None
        if unsure and ("prompt_id" in columns or "head" in columns):
            said.append("Select <code>run_id</code> too, and rows become links.")
        return " ".join(said)

    def _show_rows(self, *, sort: str, page: int) -> None:
        shown = self._table.select(range(min(MOST_COLUMNS, self._table.num_columns)))
        start = page * PAGE_SIZE
        part = shown.slice(start, PAGE_SIZE)
        if self._order is not None:
            part = shown.take(self._order.slice(start, PAGE_SIZE))
        cells = cells_of(part, shown)
        columns = columns_of(shown, cells)
        width = sum(int(column.width.removesuffix("px")) for column in columns)
        whole = self._table if self._order is None else self._table.take(self._order)
        self._links = self._links_of(whole.slice(start, PAGE_SIZE))
        n_pages = max(1, -(-self._table.num_rows // PAGE_SIZE))
        self._page = page
        self._rows.param.update(
            columns=[asdict(column) for column in columns],
            rows=cells,
            links=self._links,
            tones=[
                {str(c): "muted" for c, text in enumerate(row) if text == NULL}
                for row in cells
            ],
            sort=sort,
            narrowest=width,
        )
        widest = round(max(width, 240) * ROOMY)
        self._left.styles = {"flex": f"1 1 {width}px", "max-width": f"{widest}px"}
        self._pager.param.update(count=n_pages, visible=n_pages > 1)
        self._pager.value = page

    def _links_of(self, part: pa.Table) -> list[str]:
        theme = self._selection.theme
        return [
            link_of(row, run=self._run, views=VIEWS, theme=theme)
            for row in part.to_pylist()
        ]

    def _open(self, index: int) -> None:
        if index < len(self._links) and self._links[index]:
            self._selection.load(self._links[index])

    def _sort(self, sort: str) -> None:
        """Sort what is here: the rows behind the limit are not."""
        name = sort.removeprefix("-")
        with self._lock:
            self._order = None
            if name in self._table.column_names:
                way: Any = "descending" if sort.startswith("-") else "ascending"
                self._order = pc.sort_indices(self._table, sort_keys=[(name, way)])
            self._show_rows(sort=sort, page=0)

    def _page_changed(self, event: Event) -> None:
        with self._lock:
            if event.new != self._page:
                self._show_rows(sort=self._rows.sort, page=event.new)

    def _extract(self) -> Extract:
        table = self._table if self._order is None else self._table.take(self._order)
        return Extract("flowglass-query", table, self._sql)


def counted(rows: Rows) -> str:
    """How many rows there are, and how many are here.

    >>> counted(Rows(pa.table({"a": [1]}), 0, True))
    '1 row.'
    >>> counted(Rows(pa.table({"a": [1, 2]}), 1000000, False))
    'The first 2 rows; more than 1,000,000 more are not shown, sorted or downloaded.'
    """
    n = rows.table.num_rows
    said = f"{n:,} row{'' if n == 1 else 's'}"
    if not rows.more and rows.exact:
        return f"{said}."
    more = f"{rows.more:,} more" if rows.more else "others"
    than = "" if rows.exact else "more than " if rows.more else ""
    return f"The first {said}; {than}{more} are not shown, sorted or downloaded."
