"""Stores of an older flowglass open, and go on; one of a later is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flowglass.store import StoreError, open_store
from flowglass.store import schema as schema_module
from flowglass.store.compact import compact
from flowglass.store.layout import FORMAT
from flowglass.store.plan import plan_from_bytes
from flowglass.store.run import RunWriter
from flowglass.store.schema import SCHEMA_VERSION, TABLES
from flowglass.store.table import optional
from flowglass.store.verify import verify
from flowglass.store.views import view_definitions

from .builders import make_plan, write_run

GOLDEN = Path(__file__).parent / "golden"
"""A store per schema version, as the flowglass of its time wrote it; kept for ever."""


@pytest.fixture(params=sorted(path.name for path in GOLDEN.iterdir()))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / request.param, tmp_path / "old"))


def test_an_old_store_opens_as_it_is(old: Path) -> None:
    """Every table has its rows, and nothing is written."""
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    with open_store(old) as store:
        assert store.sql("SELECT n_tokens, status FROM runs").fetchall() == [
            (33, "complete")
        ]
        for table in ("edges", "steps", "heads", "routes", "component_stats", "tokens"):
            assert len(store.table(f"FROM {table}")) > 0
    assert verify(old).damages == ()
    after = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    assert after == before


def test_an_old_run_goes_on(old: Path) -> None:
    """The same configuration is the same run; the store then says the new version."""
    path = old / "runs/run_id=golden/plan.json"
    writer = RunWriter(old, plan_from_bytes(path.read_bytes(), path=str(path)))
    assert writer.committed() == {0}
    assert json.loads((old / FORMAT).read_text())["schema_version"] == SCHEMA_VERSION
    assert compact(old).merged_files == 0


def test_a_column_that_came_later_is_null_in_older_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view has it, typed; files without it are read all the same."""
    write_run(tmp_path, make_plan())
    newer = replace(optional("entropy_of", "float32", "made up"), since=2)
    edges = TABLES["edges"]
    monkeypatch.setitem(
        schema_module.TABLES, "edges", replace(edges, columns=(*edges.columns, newer))
    )
    with open_store(tmp_path) as store:
        view = dict(view_definitions(tmp_path, store.snapshot))["edges"]
        found = store.sql(f"SELECT entropy_of, contribution FROM ({view})")
        assert found.types == ["FLOAT", "DOUBLE"]
        assert {value for value, _ in found.fetchall()} == {None}
    assert verify(tmp_path).damages == ()
    assert compact(tmp_path).merged_files == 15
    with open_store(tmp_path) as store:
        assert store.sql("SELECT count(entropy_of) FROM edges").fetchall() == [(0,)]


@pytest.mark.parametrize("act", [open_store, compact, verify])
def test_a_later_store_is_refused(tmp_path: Path, act: object) -> None:
    """By everything that reads it, with both versions and what to do."""
    (tmp_path / FORMAT).write_text('{"format": "flowglass", "schema_version": 99}')
    with pytest.raises(StoreError, match=r"99, this flowglass reads up to .*: upgrade"):
        act(tmp_path)  # type: ignore[operator]
