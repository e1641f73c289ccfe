"""Comparing what sweeps have stored."""

from pathlib import Path

import pyarrow as pa

from flowglass.store import Store, open_store
from flowglass.store.schema import TABLES

RUN_TABLES = [name for name in TABLES if name != "neuron_vocab"]


def rows(store: Path, table: str) -> pa.Table:
    """All rows of a table but run_id, sorted."""
    with open_store(store) as opened:
        return rows_of(opened, table)


def rows_of(opened: Store, table: str) -> pa.Table:
    return opened.sql(
        f"select * exclude (run_id) from {table} order by all"
    ).to_arrow_table()


def assert_same_rows(found: Path, due: Path) -> None:
    """Every table of every run, row for row."""
    with open_store(found) as one, open_store(due) as other:
        for table in RUN_TABLES:
            assert rows_of(one, table) == rows_of(other, table), table
