"""Which plot a result makes: chosen by the types and names of its columns.

A plot is a value; plot_elements.py draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from .result_cells import is_number, is_plain

BAR, LINE, SCATTER, HEAT_MAP = KINDS = ("bar", "line", "scatter", "heat map")

PLACES = ("position", "relative_position", "depth", "n_tokens", "rank", "layer")
"""Numbers that a line goes along; those that come first are preferred."""

COUNTED = ("layer", "head", "index", "expert", "neuron", "query", "key")
"""Whole numbers that name something."""

IDS = ("prompt_id", "token_id", "prompt_hash", "run_id", "target")
"""Columns that are nothing to measure."""

FEW = 8
"""Groups that colours tell apart."""

MOST_CELLS = 4000
"""Of a heat map."""


@dataclass(frozen=True)
class Plot:
    """What goes where; columns by name."""

    kind: str
    """One of KINDS."""
    x: str
    y: str
    """The measure; of a heat map its rows."""
    colour: str = ""
    """Groups, or none; of a heat map its measure."""


def kinds_of(table: pa.Table) -> list[str]:
    """The kinds that a result has columns for; none if it has no numbers or rows."""
    n_axes = len(axes(table))
    if table.num_rows < 2 or not numbers(table) or n_axes < 2:
        return []
    return [kind for kind in KINDS if kind != HEAT_MAP or n_axes > 2]


def suggested(table: pa.Table) -> Plot | None:
    """The plot to begin with, in which every row has a place of its own.

    None where there is no such plot, or nothing to measure.
    """
    varied = (name for name in measures(table) if _n_values(table, name) > 1)
    measure = next(varied, None)
    if measure is None or not kinds_of(table):
        return None
    heads = [name for name in ("head", "index") if name in table.column_names]
    is_map = "layer" in table.column_names and bool(heads)
    if is_map and _tells_apart(table, ["layer", heads[0]]):
        return Plot(HEAT_MAP, heads[0], "layer", measure)
    return _line(table, measure) or _bars(table, measure) or _points(table, measure)


def _line(table: pa.Table, measure: str) -> Plot | None:
    plot = fitted(table, Plot(LINE, "", measure))
    apart = _tells_apart(table, [plot.x, *filter(None, [plot.colour])])
    is_way = plot.x in PLACES and _n_values(table, plot.x) > 2
    return plot if is_way and apart else None


def _bars(table: pa.Table, measure: str) -> Plot | None:
    names = [name for name in labels(table) if name not in PLACES]
    groups = ["", *(name for name in names if 1 < _n_values(table, name) <= FEW)]
    pairs = ((x, colour) for colour in groups for x in names if x != colour)
    alone = (
        (x, colour)
        for x, colour in pairs
        if _n_values(table, x) > 1 and _tells_apart(table, [x, *filter(None, [colour])])
    )
    x, colour = next(alone, ("", ""))
    return Plot(BAR, x, measure, colour) if x else None


def _points(table: pa.Table, measure: str) -> Plot | None:
    others = [name for name in measures(table) if name != measure]
    return fitted(table, Plot(SCATTER, "", measure)) if others else None


def fitted(table: pa.Table, wanted: Plot) -> Plot:
    """The plot with what does not fit its kind put right; `kinds_of` has the kind."""
    x = wanted.x if wanted.x in axes(table) else ""
    return (
        _heat_map(table, wanted, x)
        if wanted.kind == HEAT_MAP
        else _chart(table, wanted, x)
    )


def _heat_map(table: pa.Table, wanted: Plot, x: str) -> Plot:
    """Three columns, one of them a number."""
    best = _first(measures(table), numbers(table))
    colour = wanted.colour if wanted.colour in numbers(table) else best
    if x == colour:
        x = ""
    rest = [name for name in axes(table) if name != colour]
    x = x or _first(["head", "index", *labels(table)], rest)
    rest.remove(x)
    y = wanted.y if wanted.y in rest else _first(["layer", *labels(table)], rest)
    return Plot(HEAT_MAP, x, y, colour)


def _chart(table: pa.Table, wanted: Plot, x: str) -> Plot:
    """A number over another column; by groups, if few are there and none are wanted."""
    y = wanted.y if wanted.y in numbers(table) else ""
    y = y or _first(measures(table), numbers(table))
    is_new = not x
    if not x or x == y:
        x = _best_x(table, wanted.kind, y)
    colour = wanted.colour
    if colour not in axes(table) or colour in (x, y):
        groups = [n for n in labels(table) if n not in (x, y, *PLACES)]
        fit = [name for name in groups if 1 < _n_values(table, name) <= FEW]
        colour = fit[0] if fit and is_new else ""
    return replace(wanted, x=x, y=y, colour=colour)


def axes(table: pa.Table) -> list[str]:
    """Columns that can be an axis."""
    return [field.name for field in table.schema if is_plain(field.type)]


def numbers(table: pa.Table) -> list[str]:
    """Columns of numbers."""
    return [field.name for field in table.schema if is_number(field.type)]


def measures(table: pa.Table) -> list[str]:
    """Columns of numbers that measure, those with fractions first."""
    names = [n for n in numbers(table) if n not in (*IDS, *COUNTED, *PLACES)]
    known = [name for name in names if pc.count(table[name]).as_py()]
    return sorted(known, key=lambda n: not pa.types.is_floating(table[n].type))


def labels(table: pa.Table) -> list[str]:
    """Columns that name groups: text, truth values and small numbers."""
    return [
        field.name
        for field in table.schema
        if is_plain(field.type)
        and not pa.types.is_floating(field.type)
        and field.name not in measures(table)
    ]


def _best_x(table: pa.Table, kind: str, y: str) -> str:
    rest = [name for name in axes(table) if name != y]
    if kind == LINE:
        return _first([*PLACES, *COUNTED], rest) or y
    if kind == SCATTER:
        return _first([*measures(table), *PLACES], rest) or y
    # The column that has most to say stands below the bars.
    texts = sorted(labels(table), key=lambda name: -_n_values(table, name))
    return _first(texts, rest) or y


def _first(wanted: Sequence[str], there: Sequence[str]) -> str:
    """The first of the wanted that is there, else the first that is; or none."""
    return next((name for name in wanted if name in there), next(iter(there), ""))


def _n_values(table: pa.Table, name: str) -> int:
    return int(pc.count_distinct(table[name], mode="all").as_py())


def _tells_apart(table: pa.Table, names: list[str]) -> bool:
    """Whether no two rows have the same in these columns, which few cells hold."""
    groups = table.group_by(names).aggregate([]).num_rows
    cells = 1
    for name in names:
        cells *= _n_values(table, name)
    return bool(groups == table.num_rows and 1 < cells <= MOST_CELLS)
