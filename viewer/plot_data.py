"""What of a result a quick plot draws: at most as much as can be told apart."""

from typing import Any

import pyarrow as pa

from .quick_plot import BAR, FEW, HEAT_MAP, LINE, Plot

MOST_BARS = 60
MOST_POINTS = 5000
LONGEST_NAME = 28
"""Characters of the name of a bar, a group or a row."""


def data_of(table: pa.Table, plot: Plot) -> tuple[pa.Table, str]:
    """Columns `x`, `y` and `colour` without nulls, and what became of the other rows.

    Where rows share a place, which only scattered points may, it has their mean.
    """
    names = {"x": plot.x, "y": plot.y, "colour": plot.colour}
    names = {role: name for role, name in names.items() if name}
    drawn = pa.table({role: table[name] for role, name in names.items()})
    drawn = drawn.drop_null()
    for place, field in enumerate(drawn.schema):
        if pa.types.is_decimal(field.type):
            column = drawn.column(place).cast(pa.float64())
            drawn = drawn.set_column(place, field.name, column)
    notes = []
    if lost := table.num_rows - drawn.num_rows:
        rows = f"{lost:,} row{'' if lost == 1 else 's'}"
        notes.append(f"{rows} with null left out")
    measure = "colour" if plot.kind == HEAT_MAP else "y"
    drawn = drawn.set_column(
        drawn.column_names.index(measure),
        measure,
        drawn[measure].cast(pa.float64(), safe=False),
    )
    if plot.kind in (BAR, LINE, HEAT_MAP):
        keys = [role for role in drawn.column_names if role != measure]
        means = drawn.group_by(keys, use_threads=False).aggregate([(measure, "mean")])
        if means.num_rows < drawn.num_rows:
            notes.append(f"means of {drawn.num_rows:,} rows")
        drawn = means.rename_columns([*keys, measure])
    drawn, dropped = _few(drawn, plot)
    return drawn, "; ".join([*notes, *dropped])


def _few(drawn: pa.Table, plot: Plot) -> tuple[pa.Table, list[str]]:
    """As much as can be told apart, and what was left out."""
    notes = []
    if plot.kind != HEAT_MAP and plot.colour:
        groups = distinct(drawn, "colour")
        if len(groups) > FEW:
            mask = pa.array([g in groups[:FEW] for g in drawn["colour"].to_pylist()])
            drawn = drawn.filter(mask)
            notes.append(f"the first {FEW} of {len(groups):,} groups")
    most = MOST_BARS if plot.kind == BAR else MOST_POINTS
    if drawn.num_rows > most:
        what = "bars" if plot.kind == BAR else "points"
        notes.append(f"the first {most:,} of {drawn.num_rows:,} {what}")
        drawn = drawn.slice(0, most)
    return drawn, notes


def distinct(data: pa.Table, name: str) -> list[Any]:
    """The values of a column, in order of appearance."""
    return list(dict.fromkeys(data[name].to_pylist()))


def names(column: pa.ChunkedArray) -> list[str]:
    return [name_of(value) for value in column.to_pylist()]


def name_of(value: object) -> str:
    """A value as the name of a bar, a group or a row."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value) or "∅"
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"
