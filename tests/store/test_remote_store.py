"""A store at an address does everything that one in a folder does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowglass.store import StoreError, open_store
from flowglass.store.cache import cache_folder
from flowglass.store.compact import compact
from flowglass.store.run import RunWriter

from .builders import commit_shard, make_plan, write_run
from .s3_server import s3_bucket


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Two of three shards in a bucket; copies go to a folder of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with s3_bucket() as (_, bucket):
        write_run(f"{bucket}/runs", make_plan(), shards=range(2))
        yield f"{bucket}/runs"


def test_it_is_read_as_it_grows(address: str) -> None:
    """Views, one prompt's files, refresh, and a block in the shards' place."""
    with open_store(address) as store:
        assert store.sql("SELECT count(*) FROM edges").fetchall() == [(8,)]
        (file,) = store.files("tiny", "edges", 3)
        assert file.startswith(f"{address}/runs/run_id=tiny/data/edges/shard=000001/")
        commit_shard(RunWriter(address, make_plan()), 2)
        assert compact(address, grace=0).into_files == 5
        assert store.refresh()
        assert store.sql("SELECT count(*) FROM edges").fetchall() == [(12,)]
        assert len(store.connect().sql("FROM edge_tokens").fetchall()) == 0


def test_a_sandbox_reads_copies_of_just_what_is_asked_for(address: str) -> None:
    """Its child may not touch the network; copies of one table serve the next query."""
    with open_store(address) as store, store.sandbox(seconds=20) as sandbox:
        assert (
            sandbox.query("SELECT count(*) AS n FROM edges").table["n"][0].as_py() == 8
        )
        copied = [path.parts[-3] for path in cache_folder(address).rglob("*.parquet")]
        assert copied == ["edges", "edges"]
        rows = sandbox.query("FROM importance_by_category").table
        assert rows.num_rows > 0
        commit_shard(RunWriter(address, make_plan()), 2)
        store.refresh()
        assert sandbox.query("FROM edges").table.num_rows == 12
        with pytest.raises(StoreError, match="no file can be read"):
            sandbox.query(f"FROM '{address}/FORMAT.json'")


def test_a_cache_that_is_too_small_is_said(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable that makes it larger."""
    monkeypatch.setenv("FLOWGLASS_CACHE_SIZE", "100B")
    with (
        open_store(address) as store,
        store.sandbox(seconds=20) as sandbox,
        pytest.raises(StoreError, match="set FLOWGLASS_CACHE_SIZE to more"),
    ):
        sandbox.query("FROM edges")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flowglass.store.cli import main; main()"]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )


def test_the_commands_take_an_address(address: str) -> None:
    """sql, info, verify and compact; mistakes in it are one line."""
    said = run("sql", address, "SELECT count(*) AS n FROM edges", "--format", "csv")
    assert (said.stdout, said.stderr) == ("n\n8\n", "")
    assert "4/6" in run("info", address).stdout
    assert "nothing is wrong" in run("verify", address).stdout
    assert "10 files merged into 5" in run("compact", address).stdout
    missing = run("sql", f"{address}-not", "FROM edges")
    assert missing.returncode == 2
    assert missing.stderr.startswith(f"error: no store at {address}-not")
    assert missing.stderr.count("\n") == 1
