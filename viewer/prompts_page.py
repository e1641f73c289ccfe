"""The prompts of a run: search, filter, sort, page; a click opens a prediction.

Every page is cut in the store, so 100,000 prompts cost what ten do. While a sweep goes
on, rows that a reader sees stay where they are: new ones are added below them, or else
offered.
"""

from functools import partial
from typing import Any

import panel as pn
import panel_material_ui as pmu
from param.parameterized import Event

from flowglass.store import queries

from .data_table import DataTable
from .downloads import Extract
from .prediction import Row
from .prompt_rows import COLUMNS, SORTABLE, cells, tones
from .pulse import Pulse
from .section_head import SectionHead
from .selection import OF_A_PROMPT, Selection

PAGE_SIZE = 25
FIELD = {"&.MuiInputBase-root, .MuiInputBase-root": {"height": "36px"}}
"""One height for fields to type in and fields to choose in."""

NEWS = "news"


class PromptsPage:
    """The filters, the list and its pages."""

    def __init__(self, pulse: Pulse, selection: Selection) -> None:
        self._pulse = pulse
        self._store = pulse.store
        self._selection = selection
        self._run: Row | None = None
        self._groups: list[Row] = []
        self._groups_of: tuple[str, int] | None = None
        self._prompt_ids: list[int] = []
        self._page = 1
        self._table = DataTable(
            COLUMNS,
            on_open=self._open,
            on_sort=self._sort,
            label="Prompts",
            empty="No prompt matches.",
            narrowest=720,
            sizing_mode="stretch_width",
            margin=0,
        )
        alike: dict[str, Any] = {"size": "small", "margin": 0, "sx": FIELD}
        self._search = pmu.TextInput(label="Search the text", width=320, **alike)
        dataset = pmu.Select(label="Dataset", width=200, **alike)
        category = pmu.Select(label="Category", width=200, **alike)
        self._filters: dict[str, Any] = {
            "search": self._search,
            "dataset": dataset,
            "category": category,
        }
        self._pager = pmu.Pagination(count=1, value=0, margin=(12, 0, 0, 0))
        self.head = SectionHead(
            "Prompts",
            beside=True,
            actions=[[NEWS, "Show new prompts", False]],
            acts={NEWS: self._show_news},
            extract=self._extract,
            can_download=True,
            margin=(26, 0, 0, 0),
        )
        self.root = pn.Column(
            self.head,
            pn.FlexBox(
                *self._filters.values(),
                align_items="center",
                gap="14px",
                margin=(6, 0, 12, 0),
                sizing_mode="stretch_width",
            ),
            self._table,
            self._pager,
            sizing_mode="stretch_width",
            margin=0,
        )
        self._connect()

    def _connect(self) -> None:
        """Widgets write the Selection; the App then has the list shown anew."""
        for key, widget in self._filters.items():
            widget.param.watch(partial(self._filter_changed, key), "value")
        self._pager.param.watch(self._page_changed, "value")
        # Links open a tab that looks like this one.
        self._selection.param.watch(self._link, ["theme", "threshold"])

    def show(self, run: Row) -> None:
        """List a run's prompts as the Selection asks."""
        self._run = run
        self._fill_filters(run)
        self._fill_list(run["run_id"])

    def follow(self, run: Row) -> None:
        """New prompts of the run that is listed have come."""
        self._run = run
        self._fill_filters(run)
        before = self._prompt_ids
        n_prompts = self._count(run["run_id"])
        rows = self._read(run["run_id"], n_prompts)
        if [row["prompt_id"] for row in rows][: len(before)] == before:
            self._put(rows, n_prompts)
        else:
            self._tell(n_prompts)
            self.head.offer(NEWS, True)

    def _show_news(self) -> None:
        if self._run is not None:
            self.show(self._run)

    def _filter_changed(self, key: str, event: Event) -> None:
        wanted = event.new or ""
        # Filling the widgets from the Selection comes here too and changes nothing.
        if getattr(self._selection, key) != wanted:
            self._selection.param.update({key: wanted, "page": 1})

    def _page_changed(self, event: Event) -> None:
        if event.new + 1 != self._page:
            self._selection.page = event.new + 1

    def _sort(self, sort: str) -> None:
        self._selection.param.update(sort=sort, page=1)

    def _fill_filters(self, run: Row) -> None:
        if self._groups_of != (run["run_id"], run["n_prompts"]):
            self._groups = self._pulse.kept(
                "groups",
                run["run_id"],
                lambda: queries.prompt_groups(self._store, run["run_id"]).to_pylist(),
            )
            self._groups_of = (run["run_id"], run["n_prompts"])
        self._search.value = self._selection.search
        for key in ("dataset", "category"):
            chosen = getattr(self._selection, key)
            there = {row[key] or "" for row in self._groups} | {chosen}
            options = {"All": "", **{name: name for name in sorted(there - {""})}}
            self._filters[key].param.update(options=options, value=chosen)

    def _count(self, run_id: str) -> int:
        """How many prompts pass the filters; only a search needs to ask the store."""
        selection = self._selection
        if selection.search:
            return queries.count_prompts(self._store, run_id, **self._wanted())
        return sum(
            row["n_prompts"]
            for row in self._groups
            if selection.dataset in ("", row["dataset"])
            and selection.category in ("", row["category"])
        )

    def _wanted(self) -> dict[str, Any]:
        """The filters as the queries take them."""
        return {
            "search": self._selection.search,
            "dataset": self._selection.dataset or None,
            "category": self._selection.category or None,
        }

    def _fill_list(self, run_id: str) -> None:
        n_prompts = self._count(run_id)
        self._put(self._read(run_id, n_prompts), n_prompts)

    def _order(self) -> dict[str, Any]:
        """The order as the queries take it."""
        sort = self._sorted_by()
        return {
            "sort": sort.removeprefix("-") or "prompt_id",
            "descending": sort.startswith("-"),
        }

    def _listing(self) -> tuple[str, dict[str, Any]]:
        """The query for all prompts that pass the filters, and its values."""
        assert self._run is not None
        run_id = self._run["run_id"]
        return queries.listing(run_id, **self._wanted(), **self._order())

    def _extract(self) -> Extract:
        query, values = self._listing()
        table = self._store.table(query, values)
        return Extract(
            f"{values['run_id']}-prompts", table, queries.spelt(query, values)
        )

    def _read(self, run_id: str, n_prompts: int) -> list[Row]:
        """The rows of the page that is chosen, of so many prompts."""
        self._page = min(self._selection.page, pages(n_prompts))
        rows: list[Row] = queries.prompts(
            self._store,
            run_id,
            **self._wanted(),
            **self._order(),
            limit=PAGE_SIZE,
            offset=(self._page - 1) * PAGE_SIZE,
        ).to_pylist()
        return rows

    def _sorted_by(self) -> str:
        """The order that is asked for; none if it is of a column that there is not."""
        sort = self._selection.sort
        return sort if sort.removeprefix("-") in SORTABLE else ""

    def _put(self, rows: list[Row], n_prompts: int) -> None:
        self._prompt_ids = [row["prompt_id"] for row in rows]
        self._tell(n_prompts)
        self.head.offer(NEWS, False)
        self._table.param.update(
            rows=[cells(row) for row in rows],
            tones=[tones(row) for row in rows],
            sort=self._sorted_by(),
        )
        self.head.sql = queries.spelt(*self._listing())
        self._link()

    def _tell(self, n_prompts: int) -> None:
        """How many prompts and pages there are."""
        n_pages = pages(n_prompts)
        self._pager.param.update(count=n_pages, visible=n_pages > 1)
        # The count bounds it, so the count goes first.
        self._pager.value = self._page - 1
        n_all = sum(row["n_prompts"] for row in self._groups)
        self.head.note = counted(n_prompts, n_all)

    def _link(self, *_: object) -> None:
        query = self._selection.query
        run_id = self._run["run_id"] if self._run else ""
        self._table.links = [
            query(run=run_id, prompt=prompt_id, **OF_A_PROMPT)
            for prompt_id in self._prompt_ids
        ]

    def _open(self, index: int) -> None:
        assert self._run is not None
        self._selection.param.update(
            run=self._run["run_id"], prompt=self._prompt_ids[index], **OF_A_PROMPT
        )


def pages(n_prompts: int) -> int:
    """How many pages so many prompts make; one if there are none."""
    return max(1, -(-n_prompts // PAGE_SIZE))


def counted(n_listed: int, n_all: int) -> str:
    """How many prompts are listed.

    >>> counted(1, 1), counted(3, 12000)
    ('1 prompt', '3 of 12,000 prompts')
    """
    of_all = "" if n_listed == n_all else f" of {n_all:,}"
    return f"{n_listed:,}{of_all} prompt{'' if n_all == 1 else 's'}"
