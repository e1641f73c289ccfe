"""A forecast is close to what the sweep then takes, and leaves nothing behind."""

from pathlib import Path
from typing import Any

import pytest

from flowglass.pipeline import sweep
from flowglass.pipeline.corpus import Shard
from flowglass.pipeline.dry_run import fitting
from flowglass.pipeline.engine import LocalEngine
from flowglass.pipeline.forecast import Forecast, Sample, forecast
from flowglass.pipeline.job import Job, plan_job
from flowglass.pipeline.shard_worker import Workbench
from flowglass.store import open_store
from flowglass.store.cli import main

OPTIONS: dict[str, Any] = {
    "model": "tiny-gpt2",
    "data": ["ioi", "sentences"],
    "run": None,
    "targets": "last",
    "cutoff": 0.01,
    "precision": "rounded",
    "neurons": 4,
    "project": "routes",
    "top_tokens": 5,
    "tensors": "sparse",
    "bos": "add",
    "dtype": "auto",
    "device": "cpu",
    "batch_tokens": 2048,
    "limit": 300,
    "truncate": False,
    "revision": None,
    "adapter": None,
    "trust_remote_code": False,
    "tokenizer": None,
}


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(Workbench())


@pytest.fixture(scope="module")
def job(engine: LocalEngine) -> Job:
    """Two sources of different lengths, three shards."""
    return plan_job(OPTIONS, engine.facts)


@pytest.fixture(scope="module")
def found(job: Job, engine: LocalEngine) -> Forecast:
    """Half of the job's tokens are measured: it is small."""
    return forecast(job, engine)


def test_bytes_of_large_tables_are_within_a_fifth(
    found: Forecast, tmp_path: Path
) -> None:
    """What the sweep writes is what was said, for every table worth a thought."""
    sweep(**OPTIONS, store=tmp_path)

    sizes: dict[str, int] = {}
    for file in tmp_path.rglob("*.parquet"):
        table = file.parent.parent.name
        sizes[table] = sizes.get(table, 0) + file.stat().st_size
    with open_store(tmp_path) as store:
        ((n_tokens,),) = store.sql("select n_tokens from runs").fetchall()
    assert found.n_tokens == n_tokens
    assert found.table_bytes.keys() == sizes.keys()
    large = [name for name, size in sizes.items() if size > sum(sizes.values()) / 20]
    assert len(large) >= 3
    for name in large:
        assert found.table_bytes[name] == pytest.approx(sizes[name], rel=0.2), name


def test_time_and_memory_are_said(found: Forecast) -> None:
    """Something was measured, and scaled to more than the sample."""
    assert 0 < found.sampled_tokens < found.n_tokens
    assert found.seconds > 0
    assert found.neuron_vocab_seconds > 0
    assert 1e8 < found.peak_memory < 24e9


def test_whole_shards_have_larger_batches_than_their_beginnings() -> None:
    """A batch costs 0.5 s and a token 0.01 s: whole shards, with a batch every 100
    tokens, take 15 s for 1000 of them, though the sample had a batch every 20."""
    tokens = [100, 40, 60, 30]
    shards = [Shard(i, [0], n) for i, n in enumerate(tokens)]
    sample = Sample(shards, batches=[5, 3, 3, 2], batches_per_token=0.01)
    seconds = [0.5 * b + 0.01 * n for b, n in zip([5, 3, 3, 2], tokens, strict=True)]
    assert sample.scaled(seconds, 1000) == pytest.approx(15)


def test_costs_that_do_not_fit_are_scaled_by_the_token() -> None:
    """A negative cost is a disturbed measurement: then only tokens count."""
    shards = [Shard(0, [0], 100), Shard(1, [0], 50)]
    sample = Sample(shards, batches=[10, 1], batches_per_token=0.01)
    assert sample.scaled([1.0, 2.0], 1000) == pytest.approx(20)


def test_a_budget_names_options_that_fit(
    job: Job, engine: LocalEngine, found: Forecast
) -> None:
    """Half the time is enough for fewer prompts."""
    said = list(fitting(job, engine, found, found.total_seconds / 2))

    assert any(option.startswith("--limit ") for option in said)


def test_a_dry_run_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says time, memory and disk; there is no store afterwards."""
    arguments = ["sweep", "--model", "tiny-gpt2", "--data", "ioi", "--limit", "20"]
    store = tmp_path / "store"
    monkeypatch.setattr(
        "sys.argv", ["flowglass", *arguments, "--store", str(store), "--dry-run"]
    )

    with pytest.raises(SystemExit) as exit_:
        main()

    out = capsys.readouterr().out
    assert not exit_.value.code
    assert "tokens/s" in out
    assert "memory" in out
    assert not store.exists()
