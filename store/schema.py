"""Every table of a store: its columns, their types and meaning, and its row order.

A column is born here and nowhere else; files, views, empty tables and the documentation
follow. `run_id` is in no file: it comes from the run's folder and leads every view.
Layers count from 0; ranks start at 0, the best; `index` is 0 where a layer has one such
component; `expert` is null unless the layer is a mixture of experts, -1 for a shared
one.
"""

from .schema_corpus import COMPONENT_STATS, PROMPTS, QUARANTINE, RUNS, TARGETS, TOKENS
from .schema_flow import (
    COMPONENTS,
    EDGES,
    HEADS,
    IMPORTANCE,
    KINDS,
    ROUTES,
    STEPS,
    STEPS_TABLE,
    TENSORS,
)
from .schema_meaning import LENS, LOGIT_ATTRIBUTION, NEURON_VOCAB, NEURONS, WRITES
from .table import Column, Table

SCHEMA_VERSION = 2
"""How stores are laid out; written to every store. One with a later version is refused;
an older one is read as it is, and gets this version when it is written to.
2: blocks of merged shards."""

ROWS_VERSION = 1
"""Which columns rows have; written to every run and file. A column that came
later says so (`Column.since`), and older runs show it as null."""

DEFAULT_TAU = 0.04
"""The threshold at which a route is shown and counted unless one is given."""

FIXED_POINT = 2**32
"""Sums in `component_stats` are stored as int64 multiples of 1 / FIXED_POINT."""

SHOWN_AS_DOUBLE = ("contribution", "survives_at")
"""FLOAT on disk, DOUBLE in the views: as FLOAT, `> 0.1` would compare in float."""

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        PROMPTS,
        TOKENS,
        EDGES,
        STEPS_TABLE,
        HEADS,
        TARGETS,
        ROUTES,
        IMPORTANCE,
        LOGIT_ATTRIBUTION,
        NEURONS,
        LENS,
        WRITES,
        NEURON_VOCAB,
        COMPONENT_STATS,
        TENSORS,
        QUARANTINE,
    )
}
"""All tables that have files, by name; `runs` is derived and described by RUNS."""

PER_MODEL = ("neuron_vocab",)
"""Tables that belong to a model's weights, not to a run."""

__all__ = [
    "COMPONENTS",
    "DEFAULT_TAU",
    "FIXED_POINT",
    "KINDS",
    "PER_MODEL",
    "ROWS_VERSION",
    "RUNS",
    "SCHEMA_VERSION",
    "SHOWN_AS_DOUBLE",
    "STEPS",
    "TABLES",
    "Column",
    "Table",
]
