"""Sweeps on a cluster that somebody has started, elsewhere: another working folder, a
scheduler without a dashboard, a worker with a nanny. One for all tests, as it takes
seconds to start."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowglass.datasets.tasks import sample
from flowglass.pipeline import corpus, sweep
from flowglass.pipeline.errors import ClusterError
from flowglass.pipeline.progress import Silent
from flowglass.store import open_store

from .poison import DEADLY, FAILING, save_poisoned
from .stores import rows


class Said(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, what: str) -> None:
        self.lines.append(what)


class Cluster:
    """A scheduler and a worker, in processes of their own."""

    def __init__(self, folder: Path) -> None:
        port = 20000 + os.getpid() % 20000
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self._started(
            folder, "scheduler", "--host", "127.0.0.1", "--port", str(port)
        )
        self._worker = self._started(
            folder, "worker", self.address, "--nthreads", "1", "--memory-limit", "0"
        )

    def _started(self, folder: Path, *command: str) -> subprocess.Popen:
        main, *arguments = command
        dask = [sys.executable, "-m", f"distributed.cli.dask_{main}", "--no-dashboard"]
        return subprocess.Popen(
            [*dask, *arguments],
            cwd=folder,
            env=os.environ | {"HF_MODULES_CACHE": str(folder / "modules")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def close(self) -> None:
        for process in (self._worker, self.scheduler):
            process.terminate()
        for process in (self._worker, self.scheduler):
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("elsewhere"))
    yield cluster
    cluster.close()


@pytest.fixture
def options(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Of a sweep on the cluster in shards of four prompts, started in `tmp_path`."""
    monkeypatch.setattr(corpus, "SHARD_PROMPTS", 4)
    monkeypatch.chdir(tmp_path)
    return dict(store="runs", scheduler=cluster.address, neurons=0, project="none")


def test_a_prompt_that_kills_its_worker_is_found(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It alone is in quarantine, and the rows of all others are there; the paths of the
    model and the store are meant from here, not from where the worker is."""
    cache = str(tmp_path / "modules")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)
    monkeypatch.setattr(sys, "path", [*sys.path, cache])
    save_poisoned(tmp_path / "poisoned")
    texts = [p.text for p in sample("ioi", "held-out", 12)]
    texts[9], texts[2] = DEADLY, FAILING
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts))
    report = Said()

    run = sweep(
        **options,
        model="poisoned",
        data="p.jsonl",
        trust_remote_code=True,
        reporter=report,
    )

    assert (run.status, run.n_prompts, run.n_quarantined) == ("complete", 10, 2)
    assert report.lines[-1] == "1 worker; the cluster has no dashboard"
    found = {
        r["prompt_id"]: r for r in rows(tmp_path / "runs", "quarantine").to_pylist()
    }
    assert found.keys() == {2, 9}
    assert found[9]["reason"].startswith("killed its process: 2 times")
    assert found[2]["reason"] == "failed: RuntimeError: this prompt is too much for me"
    assert found[9]["text"] == DEADLY
    with open_store("runs") as store:
        assert store.snapshot.runs[run.run_id].plan.model == "poisoned"


class KillsAfterShards(Silent):
    """Kills a process once so many shards are committed."""

    def __init__(self, process: subprocess.Popen, n: int) -> None:
        self._process, self._n = process, n

    def wrote(self, n_bytes: int) -> None:
        self._n -= 1
        if self._n == 0:
            self._process.kill()


def test_a_vanished_scheduler_is_told(
    options: dict[str, Any],
    cluster: Cluster,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In one line, and nothing else is said; what is committed stays. The last test, as
    nothing is left of the cluster."""
    killing = KillsAfterShards(cluster.scheduler, 2)
    with pytest.raises(ClusterError, match="the scheduler does not answer any more"):
        sweep(**options, model="tiny-llama", data="ioi", limit=400, reporter=killing)
    assert rows(tmp_path / "runs", "prompts").num_rows >= 8
    assert "Traceback" not in capfd.readouterr().err
