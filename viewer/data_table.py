"""One page of rows as a quiet table: links, sorting heads, aligned figures."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent


@dataclass(frozen=True)
class Column:
    """How a column is shown."""

    name: str
    title: str
    width: str = ""
    """A CSS width; a column without one shares what is left."""
    align: str = ""
    """`right` for figures, `centre` for marks."""
    kind: str = ""
    """`token` is set in monospace, `muted` recedes, `bar` has one under its text."""
    sortable: bool = False
    hint: str = ""


class DataTable(JSComponent):
    """Shows `rows` of text; says which row was opened and which order was asked for.

    Sorting and paging are the owner's: the table never holds more than it shows.
    """

    columns = param.List([], doc="Column values as dicts.")
    rows = param.List([], doc="A list of texts for each row.")
    links = param.List([], doc="The address each row opens; none: not clickable.")
    tones = param.List([], doc="For each row, `good` or `bad` by column number.")
    shares = param.List(
        [], doc="For each row, how full its bars are, 0 to 1, likewise."
    )
    sort = param.String("", doc="Name of the sorted column; a leading - means down.")
    current = param.Integer(-1, doc="The highlighted row.")
    label = param.String("", doc="What the table holds, for a screen reader.")
    caption = param.String("", doc="The same, for every reader.")
    empty = param.String("Nothing here.", doc="Shown instead of rows.")
    narrowest = param.Integer(0, doc="In pixels; in a narrower window it scrolls.")

    _esm = Path(__file__).parent / "data_table.js"

    def __init__(
        self,
        columns: tuple[Column, ...],
        *,
        on_open: Callable[[int], None] | None = None,
        on_sort: Callable[[str], None] | None = None,
        **params: Any,
    ) -> None:
        params["columns"] = [asdict(column) for column in columns]
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._on_open = on_open
        self._on_sort = on_sort

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        if self._on_open and "open" in msg:
            self._on_open(int(msg["open"]))
        if self._on_sort and "sort" in msg:
            self._on_sort(str(msg["sort"]))
