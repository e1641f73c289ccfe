"""The front page: the store's runs, and the prompts of the chosen one."""

from collections.abc import Callable
from datetime import datetime
from threading import RLock
from typing import Any

import panel as pn
import panel_material_ui as pmu
from flowglass.store import queries
from flowglass.store.store import Store

from .data_table import Column, DataTable
from .prediction import Row
from .selection import Selection
from .theme import show_whitespace

PAGE_SIZE = 25

RUN_COLUMNS = (
    Column("run_id", "Run"),
    Column("model", "Model", width="16%"),
    Column("datasets", "Datasets", width="20%"),
    Column("n_prompts", "Prompts", width="92px", align="right"),
    Column("n_tokens", "Tokens", width="104px", align="right"),
    Column("status", "Status", width="96px"),
    Column("started_at", "Started", width="148px", align="right"),
)
PROMPT_COLUMNS = (
    Column("prompt_id", "#", width="76px", align="right", sortable=True),
    Column("text", "Prompt", sortable=True),
    Column("dataset", "Dataset", width="9.5%", kind="muted", sortable=True),
    Column("category", "Category", width="9.5%", kind="muted", sortable=True),
    Column("answer", "Answer", width="9%", kind="token", sortable=True),
    Column("predicted_token", "Predicted", width="10%", kind="token", sortable=True),
    Column("predicted_prob", "Prob.", width="80px", align="right", sortable=True),
    Column("correct", "First", width="66px", align="centre", sortable=True,
           hint="Was the answer the likeliest token?"),
    Column("n_tokens", "Tokens", width="84px", align="right", sortable=True),
)
SORTABLE = frozenset(c.name for c in PROMPT_COLUMNS)

ANY = "all"
NOTHING_YET = (
    "This store has no finished prompts yet. Fill it with "
    "<code>flowglass sweep --model M --data D --store {store}</code>, then refresh."
)
NOTE_STYLE = """
  :host { color: var(--fg-muted); font-size: 13px; line-height: 1.5 }
  code { font: 0.95em var(--fg-monospace); color: var(--fg-text) }
"""


class PromptsPage:
    """The components of the page, and what of the Selection each follows."""

    def __init__(
        self,
        store: Store,
        selection: Selection,
        *,
        refresh: Callable[[], None],
    ) -> None:
        self._store = store
        self._selection = selection
        self._lock = RLock()  # a session's events run in several threads
        self._runs: list[Row] = []
        self._run: Row | None = None
        self._prompt_ids: list[int] = []
        self._filling = False
        self._run_table = DataTable(
            RUN_COLUMNS,
            on_open=self._choose_run,
            label="Runs",
            empty="No runs yet.",
            margin=0,
        )
        self._prompt_table = DataTable(
            PROMPT_COLUMNS,
            on_open=self._open_prompt,
            on_sort=lambda sort: selection.param.update(sort=sort, page=1),
            label="Prompts",
            empty="No prompt matches.",
            margin=0,
        )
        self._search = pmu.TextInput(
            label="Search prompts", size="small", width=320, margin=0
        )
        self._dataset = pmu.Select(label="Dataset", size="small", width=190, margin=0)
        self._category = pmu.Select(label="Category", size="small", width=190, margin=0)
        self._pager = pmu.Pagination(count=1, value=0, margin=(12, 0, 0, 0))
        self._note = pn.pane.HTML(stylesheets=[NOTE_STYLE], margin=0)
        self._warning = pn.pane.HTML(stylesheets=[NOTE_STYLE], margin=0, visible=False)
        again = pmu.Button(
            label="Refresh",
            icon="refresh",
            variant="text",
            margin=0,
            on_click=lambda _: refresh(),
        )
        self._browser = pn.Column(
            pn.FlexBox(
                self._search,
                self._dataset,
                self._category,
                self._note,
                align_items="center",
                gap="14px",
                margin=(22, 0, 10, 0),
                sizing_mode="stretch_width",
            ),
            self._prompt_table,
            self._pager,
            sizing_mode="stretch_width",
            margin=0,
        )
        self.root = pn.Column(
            pn.FlexBox(
                pmu.Typography("Runs", variant="h6", margin=0),
                again,
                justify_content="space-between",
                align_items="center",
                sizing_mode="stretch_width",
                margin=0,
            ),
            self._run_table,
            self._warning,
            self._browser,
            sizing_mode="stretch_width",
            margin=(14, 24, 24, 24),
        )
        self._watch()

    def _watch(self) -> None:
        selection = self._selection
        self._search.param.watch(
            lambda event: self._filter(search=event.new or ""), "value"
        )
        for widget, key in ((self._dataset, "dataset"), (self._category, "category")):
            widget.param.watch(
                lambda event, key=key: self._filter(
                    **{key: "" if event.new in (None, ANY) else event.new}
                ),
                "value",
            )
        self._pager.param.watch(
            lambda event: self._filter(page=event.new + 1), "value"
        )
        selection.param.watch(
            lambda *_: self._list_prompts(),
            ["search", "dataset", "category", "sort", "page"],
        )
        selection.param.watch(lambda *_: self._link(), ["theme", "threshold"])

    def _filter(self, **changes: Any) -> None:
        """A widget was changed by the reader: any new filter starts at page 1."""
        if not self._filling:
            self._selection.param.update(**{"page": 1, **changes})
...
