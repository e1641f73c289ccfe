"""What the workers of a cluster are asked for, and what is said of the cluster. They
are threads of this process, so that a cluster starts at once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from distributed import Client, LocalCluster

from flowglass.pipeline import cluster_engine, corpus, sweep
from flowglass.pipeline.cluster import cluster_at
from flowglass.pipeline.cluster_engine import ClusterEngine
from flowglass.pipeline.cluster_worker import PLUGIN, Bench, do_shard
from flowglass.pipeline.elsewhere import model_elsewhere, run_elsewhere
from flowglass.pipeline.errors import ClusterError, PlanError
from flowglass.pipeline.hub import Origin
from flowglass.pipeline.job import plan_job
from flowglass.pipeline.progress import Silent
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.shard_worker import ModelRequest, RunRequest, Task
from flowglass.pipeline.sweep_runs import all_options
from flowglass.store import StoreError, open_store
from flowglass.store.run import RunWriter

from .shards import quick_model
from .stores import assert_same_rows
from .tiny_models import tiny_llama


class Heard(Silent):
    """Keeps what is said, and does something when it is."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.lines: list[str] = []
        self._then = then

    def say(self, what: str) -> None:
        self.lines.append(what)
        self._then()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three shards of four prompts, of a model that is there."""
    monkeypatch.setattr(corpus, "SHARD_PROMPTS", 4)
    quick_model(monkeypatch)


OPTIONS: dict[str, Any] = dict(
    model="tiny-llama", data="ioi", limit=12, neurons=0, project="none"
)


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """One that has no worker yet."""
    with LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs=50,
    ) as cluster:
        yield cluster


def test_a_cluster_that_grows_from_nothing_is_used(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """It sees that there is work, though nothing is planned before there is a worker;
    the rows are those of any sweep."""
    cluster.adapt(minimum=0, maximum=1, interval="100ms")
    report = Heard()
    address = cluster.scheduler_address
    sweep(**OPTIONS, store=tmp_path / "s", scheduler=address, reporter=report)
    sweep(**OPTIONS, store=tmp_path / "here")
    assert_same_rows(tmp_path / "s", tmp_path / "here")
    waiting, there = report.lines
    assert waiting.startswith(f"{address} has no workers yet; waiting")
    assert f"dask worker {address}" in waiting
    assert there == "1 worker; the cluster has no dashboard"


def test_a_scheduler_that_leaves_while_a_worker_is_waited_for_is_told(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """In one line."""
    leave = Thread(target=cluster.close)
    report = Heard(then=leave.start)
    with pytest.raises(ClusterError, match="the scheduler does not answer any more"):
        sweep(
            **OPTIONS,
            store=tmp_path,
            scheduler=cluster.scheduler_address,
            reporter=report,
        )
    leave.join()


def test_a_worker_that_comes_after_a_halt_begins_no_shard(
    cluster: LocalCluster,
) -> None:
    """Nor does one that was there."""
    cluster.scale(1)
    with cluster_at(cluster.scheduler_address, report=Silent()) as engine:
        engine.halt()
        cluster.scale(2)
        cluster.wait_for_workers(2)
        with Client(cluster.scheduler_address) as client:
            for worker in client.scheduler_info()["workers"]:
                asked = [engine._sweep_id, None, None]
                assert (
                    client.submit(do_shard, *asked, workers=[worker]).result() is None
                )
            with pytest.raises(AttributeError):  # another sweep goes on
                client.submit(do_shard, "another", None, None).result()


@pytest.mark.parametrize("fewest_out", [1, 3])
def test_few_shards_are_out_before_one_is_done(
    fewest_out: int, cluster: LocalCluster, tmp_path: Path
) -> None:
    """Two for each worker, or as many as there are at least."""
    cluster.scale(1)
    cluster.wait_for_workers(1)
    with Client(cluster.scheduler_address) as client:
        client.register_plugin(Bench(threads=1), name=PLUGIN)
        engine = ClusterEngine(client, fewest_out=fewest_out)
        job = plan_job(all_options(OPTIONS), engine.facts)
        writer = RunWriter(tmp_path, job.plan)
        taken = []

        def tasks() -> Iterator[Task]:
            for shard in job.shards:
                taken.append(shard)
                yield Task(shard, job.corpus.of(shard.prompt_ids))

        request = RunRequest(
            model=job.request, settings=job.settings, store=tmp_path, plan=writer.plan
        )
        shards = engine.shards(request, tasks(), Silent())
        next(shards)
        assert len(taken) == max(2, fewest_out)
        assert len(list(shards)) == 2
    assert writer.committed() == {0, 1, 2}


def test_a_store_that_a_worker_does_not_see_is_refused(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is planned: no run is left that nobody can do."""
    cluster.scale(1)
    monkeypatch.setattr(cluster_engine, "sees", lambda store: False)
    with pytest.raises(StoreError, match=rf"does not see {tmp_path}: put the store"):
        sweep(**OPTIONS, store=tmp_path, scheduler=cluster.scheduler_address)
    with open_store(tmp_path) as store:
        assert not store.snapshot.runs


def test_what_neurons_mean_is_announced_once(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """Not when it is stored already."""
    cluster.scale(1)
    said = "what the neurons promote and suppress, once per model"
    options = OPTIONS | dict(neurons=1, limit=4, scheduler=cluster.scheduler_address)
    for limit, times in ((4, 1), (5, 0)):
        report = Heard()
        sweep(**options | {"limit": limit}, store=tmp_path, reporter=report)
        assert report.lines.count(said) == times


def test_paths_are_sent_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where such a folder is here. A bundled model comes before a folder of its name;
    ids of the hub, folders that only workers have, and addresses stay as they are."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "tiny-gpt2", "tuned"):
        Path(name).mkdir()

    def sent(model: str, adapter: str | None = None) -> tuple[str, str | None]:
        request = ModelRequest(model=model, origin=Origin(adapter=adapter))
        found = model_elsewhere(request)
        return found.model, found.origin.adapter  # type: ignore[return-value]

    assert sent("mine", "tuned") == (str(tmp_path / "mine"), str(tmp_path / "tuned"))
    assert sent("../mine") == ("../mine", None)
    for name in ("tiny-gpt2", "gpt2", "org/name", "/not/here"):
        assert sent(name, "org/adapter") == (name, "org/adapter")

    def store_sent(store: str | Path) -> object:
        model = ModelRequest(model="gpt2")
        return run_elsewhere(
            RunRequest(model=model, settings=Settings(), store=store, plan=None)  # type: ignore[arg-type]
        ).store

    assert store_sent("runs") == str(tmp_path / "runs")
    assert store_sent(Path("runs")) == str(tmp_path / "runs")
    assert store_sent("s3://bucket/runs") == "s3://bucket/runs"


def test_what_cannot_be_a_cluster_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is loaded."""
    monkeypatch.setattr("flowglass.pipeline.cluster.CONNECT_SECONDS", 0.5)

    def refused(error: type[Exception], **options: object) -> str:
        with pytest.raises(error) as refusal:
            sweep(**OPTIONS | options, store=tmp_path)
        return str(refusal.value)

    assert "at least 1" in refused(PlanError, workers=0)
    assert "give one" in refused(PlanError, workers=1, scheduler="tcp://x:1")
    assert "by themselves" in refused(PlanError, model=tiny_llama(), workers=1)
    assert "no scheduler answers at tcp://127.0.0.1:9" in refused(
        ClusterError, scheduler="tcp://127.0.0.1:9"
    )
    assert "no scheduler answers at nonsense" in refused(
        ClusterError, scheduler="nonsense"
    )
