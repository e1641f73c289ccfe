"""Comparing what sweeps have stored."""

from pathlib import Path

import pyarrow as pa

from flowglass.store import open_store
from flowglass.store.schema import TABLES

RUN_TABLES = [name for name in TABLES if name != "neuron_vocab"]


def rows(store: str | Path, table: str) -> pa.Table:
    """All rows of a table but run_id, sorted."""
    with open_store(store) as opened:
        return opened.sql(
            f"select * exclude (run_id) from {table} order by all"
        ).to_arrow_table()


def assert_same_rows(found: str | Path, due: str | Path) -> None:
    """Every table of every run, row for row."""
    for table in RUN_TABLES:
        assert rows(found, table) == rows(due, table), table
