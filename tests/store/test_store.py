"""An open store shows what commit records name, typed, and nothing else."""

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from flowglass.store import TABLES, StoreError, open_store
from flowglass.store.commit import Payload, commit, prepare
from flowglass.store.files import LocalFiles
from flowglass.store.layout import model_folder
from flowglass.store.parquet import to_parquet
from flowglass.store.run import RunWriter
from flowglass.store.schema import RUNS, SHOWN_AS_DOUBLE
from flowglass.store.table import FLOAT

from .builders import commit_shard, make_plan, rows, write_run


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run that is complete and one that was stopped after its first shard."""
    root = tmp_path_factory.mktemp("store")
    write_run(root, make_plan("whole"))
    write_run(root, make_plan("part"), shards=range(1)).stop("10 of 12 prompts failed")
    return root


def shown_types(name: str) -> dict[str, str]:
    """The columns that a table's view must have, with DuckDB's types."""
    owner = "model_hash" if name == "neuron_vocab" else "run_id"
    types = {owner: "VARCHAR"}
    for column in TABLES[name].columns:
        is_measure = column.name in SHOWN_AS_DOUBLE and column.type == FLOAT
        as_double = is_measure or column.name.startswith("contribution_sum")
        types[column.name] = "DOUBLE" if as_double else column.sql_type
    return types


@pytest.mark.parametrize("name", TABLES)
def test_views_have_the_same_types_with_rows_and_without(
    two_runs: Path, tmp_path: Path, name: str
) -> None:
    """An empty store and a full one answer the same queries."""
    write_run(tmp_path, make_plan(), shards=range(0))
    for root in (two_runs, tmp_path):
        with open_store(root) as store:
            described = store.sql(f"DESCRIBE {name}").fetchall()
            assert {column: type_ for column, type_, *_ in described} == shown_types(
                name
            )


def test_a_store_without_runs_is_empty(tmp_path: Path) -> None:
    """Not an error: a sweep may be about to begin."""
    RunWriter(tmp_path, make_plan())
    for path in (tmp_path / "runs").rglob("plan.json"):
        path.unlink()
    with open_store(tmp_path) as store:
        assert store.runs().num_rows == 0
        assert store.sql("SELECT count(*) FROM component_stats").fetchall() == [(0,)]


def test_runs_are_derived_from_plans_and_commits(two_runs: Path) -> None:
    """Status, counts and times; configuration as JSON that SQL can read into."""
    with open_store(two_runs) as store:
        runs = {run["run_id"]: run for run in store.runs().to_pylist()}
        cutoffs = store.sql(
            "SELECT DISTINCT config->>'$.identity.settings.cutoff' FROM runs"
        ).fetchall()
    assert runs["whole"].keys() == {"run_id", *(c.name for c in RUNS.columns)}
    assert (runs["whole"]["status"], runs["part"]["status"]) == ("complete", "stopped")
    assert (runs["whole"]["n_prompts"], runs["part"]["n_prompts"]) == (6, 2)
    assert runs["whole"]["n_tokens"] == 18
    assert runs["whole"]["datasets"] == ["ioi", "facts"]
    assert runs["part"]["finished_at"] is None
    assert runs["whole"]["finished_at"] > runs["whole"]["started_at"]
    assert cutoffs == [("0.01",)]


def test_a_stopped_run_that_continues_is_partial_again(tmp_path: Path) -> None:
    """resume() takes the mark away."""
    writer = write_run(tmp_path, make_plan(), shards=range(1))
    writer.stop("enough")
    with open_store(tmp_path) as store:
        assert store.snapshot.runs["tiny"].stopped == "enough"
        writer.resume()
        assert store.refresh()
        assert store.runs()["status"].to_pylist() == ["partial"]


def test_measures_compare_in_double(tmp_path: Path) -> None:
    """A float32 contribution of 0.1 is above 0.1, as the route that it is in says."""
    writer = RunWriter(tmp_path, make_plan())
    edge = {"prompt_id": 0, "layer": 0, "step": "attn", "kind": "resid", "query": 0}
    tables = {"edges": rows("edges", {**edge, "key": 0, "contribution": 0.1})}
    counts = {"n_prompts": 1, "n_tokens": 1, "n_quarantined": 0}
    writer.commit(0, tables, prompt_ids=[0], info=counts)
    with open_store(tmp_path) as store:
        found = store.sql("SELECT count(*) FROM edges WHERE contribution > 0.1")
        assert found.fetchall() == [(1,)]


def test_only_what_records_name_is_there(tmp_path: Path) -> None:
    """Files of an attempt that never committed are not seen, nor in the way."""
    write_run(tmp_path, make_plan(), shards=range(1))
    folder = tmp_path / "runs/run_id=tiny/data/edges/shard=000001"
    folder.mkdir()
    (folder / "0123456789ab.parquet").write_bytes(b"half a file")
    with open_store(tmp_path) as store:
        assert store.sql("SELECT count(*) FROM edges").fetchall() == [(4,)]


def test_a_prompt_is_in_one_file(two_runs: Path) -> None:
    """Found by the records' ranges; a prompt that is not there is in none."""
    with open_store(two_runs) as store:
        (path,) = store.files("whole", "edges", 3)
        assert "shard=000001" in path
        found = store.sql(
            "SELECT DISTINCT prompt_id FROM read_parquet($path) ORDER BY 1",
            {"path": path},
        )
        assert found.fetchall() == [(2,), (3,)]
        assert len(store.files("whole", "edges")) == 3
        assert store.files("whole", "edges", 99) == []
        with pytest.raises(StoreError, match="no run 'hole': did you mean whole"):
            store.files("hole", "edges")
        with pytest.raises(StoreError, match=r"no table 'edgse' .* edges"):
            store.files("whole", "edgse")


def test_a_reader_never_sees_half_a_shard(tmp_path: Path) -> None:
    """While shards come, each is there with all its tables or with none."""
    n_shards = 12
    writer = RunWriter(tmp_path, make_plan(n_shards=n_shards))
    thread = threading.Thread(
        target=lambda: [commit_shard(writer, shard) for shard in range(n_shards)]
    )
    seen: list[int] = []
    with open_store(tmp_path) as store:
        thread.start()
        while not seen or seen[-1] < n_shards:
            store.refresh()
            ((prompts, edges, targets, n_targets),) = store.sql("""
                SELECT (SELECT count(*) FROM prompts), (SELECT count(*) FROM edges),
                       (SELECT count(*) FROM targets),
                       (SELECT coalesce(max(n_targets), 0) FROM component_stats)
            """).fetchall()
            assert prompts == targets == n_targets == edges / 2
            assert prompts % 2 == 0
            seen.append(prompts // 2)
    thread.join()
    assert seen == sorted(seen)


def test_refresh_says_whether_anything_came(tmp_path: Path) -> None:
    """And an open store shows what was there before until it is called."""
    writer = write_run(tmp_path, make_plan(), shards=range(1))
    with open_store(tmp_path) as store:
        assert not store.refresh()
        commit_shard(writer, 1)
        assert store.sql("SELECT count(*) FROM prompts").fetchall() == [(2,)]
        assert store.refresh()
        assert store.sql("SELECT count(*) FROM prompts").fetchall() == [(4,)]


@pytest.mark.parametrize("name", ["it's [odd]* ?", "with space", "ünïcode"])
def test_a_store_may_lie_in_any_folder(tmp_path: Path, name: str) -> None:
    """Quotes and what looks like a pattern are names like any other."""
    write_run(tmp_path / name, make_plan())
    shutil.copytree(tmp_path / name, tmp_path / "it's odd !")  # fits the pattern
    with open_store(tmp_path / name) as store, store.sandbox() as sandbox:
        assert store.sql("SELECT count(*) FROM prompts").fetchall() == [(6,)]
        assert sandbox.query("FROM prompts").table.num_rows == 6


def test_neuron_vocab_is_led_by_its_model(two_runs: Path) -> None:
    """What belongs to weights lies under models/, committed as a run's shards are."""
    token = {"sign": 1, "rank": 0, "token_id": 3, "token": " a", "score": 0.5}
    table = rows("neuron_vocab", {"layer": 0, "neuron": 1, **token})
    files = LocalFiles(two_runs)
    prepare(files, model_folder("cafe"))
    commit(
        files,
        model_folder("cafe"),
        shard=0,
        tables={
            "neuron_vocab": Payload(to_parquet(TABLES["neuron_vocab"], table), rows=1)
        },
        config_sha256="",
        prompt_ids=[],
        info={},
        committed_at="2026-01-01T00:00:00+00:00",
    )
    with open_store(two_runs) as store:
        found = store.sql("SELECT model_hash, token FROM neuron_vocab").fetchall()
    assert found == [("cafe", " a")]


def test_values_are_bound(two_runs: Path) -> None:
    """By place or by name; a quote in one is no SQL."""
    with open_store(two_runs) as store:
        by_place = store.sql("SELECT ? || run_id FROM runs", ["it's "]).fetchall()
        by_name = store.table("SELECT $x AS x FROM runs", {"x": "it's"})
    assert ("it's whole",) in by_place
    assert by_name == pa.table({"x": ["it's", "it's"]})


def test_threads_share_a_store(two_runs: Path) -> None:
    """Each query has a cursor of its own."""
    counts: list[int] = []
    with open_store(two_runs) as store:

        def ask() -> None:
            for _ in range(10):
                counts.extend(*store.sql("SELECT count(*) FROM edges").fetchall())

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [16] * 30


def test_closing_ends_a_query_of_another_thread(two_runs: Path) -> None:
    """A server that is told to end does not wait for what nobody will read."""
    store = open_store(two_runs)
    ended: list[str] = []

    def ask() -> None:
        try:
            store.table("SELECT count(*) FROM range(100000000) a, range(100000) b")
        except duckdb.InterruptException:
            ended.append("interrupted")

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.5)
    store.close()
    asking.join(30)
    assert ended == ["interrupted"]


def test_a_run_that_is_deleted_and_made_anew_is_read_anew(tmp_path: Path) -> None:
    """Records are remembered for as long as their plan stays."""
    write_run(tmp_path, make_plan())
    with open_store(tmp_path) as store:
        (tmp_path / "runs/run_id=tiny").rename(tmp_path / "old")
        again = replace(make_plan(), started_at="2027-01-01T00:00:00+00:00")
        write_run(tmp_path, again)
        assert store.refresh()
        assert store.sql("SELECT count(*) FROM prompts").fetchall() == [(6,)]
        assert Path(store.files("tiny", "edges")[0]).exists()


def test_a_connection_of_ones_own_may_do_anything(two_runs: Path) -> None:
    """The views and helpers beside one's own tables and Python's variables."""
    mine = pa.table({"prompt_id": [0, 1], "mark": ["a", "b"]})
    with open_store(two_runs) as store:
        connection = store.connect()
    connection.execute("CREATE TABLE kept AS SELECT * FROM edges")
    rows = connection.sql(
        "SELECT mark, count(*) FROM mine JOIN kept USING (prompt_id) GROUP BY mark"
    ).fetchall()
    assert len(mine) == len(rows) == 2
    connection.sql("FROM activation_frequency(0.04)").fetchall()
    connection.close()


@pytest.mark.parametrize("above", ["plain", "run_id=other/model_hash=x/a b"])
def test_every_row_is_led_by_its_run(tmp_path: Path, above: str) -> None:
    """Read from its file's name, whatever the folders above the store are called."""
    for run_id, n_shards in (("one", 1), ("two.b+c", 2)):
        write_run(tmp_path / above, make_plan(run_id, n_shards=n_shards))
    with open_store(tmp_path / above) as store, store.sandbox() as sandbox:
        counts = "SELECT run_id, count(*) AS n FROM edges GROUP BY ALL ORDER BY ALL"
        due = [("one", 4), ("two.b+c", 8)]
        assert store.sql(counts).fetchall() == due
        rows = sandbox.query(counts).table.to_pylist()
        assert [(row["run_id"], row["n"]) for row in rows] == due
