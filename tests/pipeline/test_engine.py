"""Shards in this process: two at once, to their end, and no trail of what ended."""

import errno
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from flowglass.pipeline import corpus, sweep
from flowglass.pipeline.engine import LocalEngine
from flowglass.pipeline.errors import ModelError, PlanError
from flowglass.pipeline.execute import TooManyFailed, said
from flowglass.pipeline.job import Job, plan_job
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.progress import Silent
from flowglass.pipeline.prompts import TokenisedPrompt
from flowglass.pipeline.run_shard import DeviceLost
from flowglass.pipeline.shard_worker import (
    ModelRequest,
    RunRequest,
    ShardWorker,
    Task,
    Workbench,
)
from flowglass.pipeline.sweep_runs import all_options
from flowglass.store import StoreError
from flowglass.store.run import RunWriter

from .shards import REQUEST, disturb, ids_of, loaded, quick_model, tokeniser
from .stores import rows

OPTIONS = all_options(
    {"model": "tiny-llama", "data": "ioi", "limit": 24, "neurons": 0, "project": "none"}
)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six shards of four prompts."""
    monkeypatch.setattr(corpus, "SHARD_PROMPTS", 4)
    quick_model(monkeypatch)


@pytest.fixture
def engine() -> LocalEngine:
    return LocalEngine(Workbench())


@pytest.fixture
def job(engine: LocalEngine) -> Job:
    return plan_job(OPTIONS, engine.facts)


@pytest.fixture
def writer(job: Job, tmp_path: Path) -> RunWriter:
    return RunWriter(tmp_path, job.plan)


@pytest.fixture
def request_(job: Job, writer: RunWriter) -> RunRequest:
    return RunRequest(
        model=job.request, settings=job.settings, store=writer.store, plan=writer.plan
    )


def task(job: Job, nth: int) -> Task:
    shard = job.shards[nth]
    return Task(shard, job.corpus.of(shard.prompt_ids))


class Tasks:
    """All tasks of a job; knows how many were taken."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.taken = 0

    def __iter__(self) -> Iterator[Task]:
        for nth in range(len(self._job.shards)):
            self.taken += 1
            yield task(self._job, nth)


def trails(store: Path) -> list[str]:
    """The shards that attempts are noted of."""
    return sorted(path.name[:6] for path in store.glob("runs/*/suspects/*"))


def worker_of(job: Job, writer: RunWriter) -> ShardWorker:
    return ShardWorker(loaded(), job.tokeniser, writer)


def test_shards_come_as_they_are_committed(
    engine: LocalEngine, job: Job, writer: RunWriter, request_: RunRequest
) -> None:
    """In order, and only two are taken in advance."""
    tasks = Tasks(job)
    for nth, done in enumerate(engine.shards(request_, tasks, Silent())):
        assert done.shard == nth
        assert nth in writer.committed()
        assert tasks.taken <= nth + 3
        assert (done.n_prompts, done.n_quarantined, done.n_splits) == (4, 0, 0)
        assert done.n_tokens == job.shards[nth].n_tokens
        assert done.n_bytes > 0
        assert done.worker.endswith(f":{os.getpid()}")
        assert done.example is None
    assert writer.committed() == set(range(6))
    assert trails(Path(writer.store)) == []


def test_halting_finishes_what_is_begun(
    engine: LocalEngine, job: Job, writer: RunWriter, request_: RunRequest
) -> None:
    """The shards in work are committed and given; no other is begun."""
    given = []
    for done in engine.shards(request_, Tasks(job), Silent()):
        given.append(done.shard)
        engine.halt()
    assert 1 <= len(given) <= 3
    assert writer.committed() == set(given)
    assert trails(Path(writer.store)) == []


def test_an_engine_that_was_halted_begins_nothing(
    engine: LocalEngine, job: Job, writer: RunWriter, request_: RunRequest
) -> None:
    """As when the signal came while the model was loaded."""
    engine.halt()
    assert list(engine.shards(request_, Tasks(job), Silent())) == []
    assert writer.committed() == set()
    assert trails(Path(writer.store)) == []


def test_who_lets_go_of_the_shards_halts_them(
    engine: LocalEngine, job: Job, writer: RunWriter, request_: RunRequest
) -> None:
    """An error of the one who asks for them ends them in order."""
    shards = engine.shards(request_, Tasks(job), Silent())
    next(shards)
    shards.close()
    assert 1 <= len(writer.committed()) <= 3
    assert trails(Path(writer.store)) == []


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one line; what is committed stays, no attempt is noted, the log has it; and
    the same call goes on once there is space."""
    link = os.link

    def fill_up(source: Path, target: Path) -> None:
        if "/commits/000001" in str(target):
            full()
        link(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fill_up)
        with pytest.raises(StoreError, match=r"the disk is full at .*commits"):
            sweep(**OPTIONS | {"store": tmp_path})
    assert trails(tmp_path) == []
    assert list(tmp_path.glob("runs/*/tmp/*")) == []
    assert len(list(tmp_path.glob("runs/*/commits/*"))) in (1, 2)  # the third in work
    (log,) = tmp_path.glob("runs/*/logs/*")
    assert "ended by StoreError: the disk is full" in log.read_text().splitlines()[-1]
    assert sweep(**OPTIONS | {"store": tmp_path}).status == "complete"


def test_a_disk_that_is_full_for_all_stops_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log cannot be written either, and hides nothing."""

    def fill_up(batch: Sequence[TokenisedPrompt]) -> None:
        monkeypatch.setattr(Path, "open", full)

    disturb(monkeypatch, fill_up)
    with pytest.raises(StoreError, match=r"the disk is full at .*/tmp/00000"):
        sweep(**OPTIONS | {"store": tmp_path})


@pytest.mark.parametrize("error", [PlanError("mine"), KeyboardInterrupt()])
def test_an_attempt_that_ends_badly_leaves_no_trail(
    error: BaseException,
    job: Job,
    writer: RunWriter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No process died: nobody has to be careful."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("flowglass.pipeline.shard_worker.run_shard", fail)
    with pytest.raises(type(error)):
        worker_of(job, writer).do(task(job, 0))
    assert trails(Path(writer.store)) == []


def test_a_lost_device_leaves_the_trail_of_one_shard(
    engine: LocalEngine,
    job: Job,
    writer: RunWriter,
    request_: RunRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one behind it, which would fail at once, has nothing to do with it."""

    def lose(batch: Sequence[TokenisedPrompt]) -> None:
        if min(ids_of(batch)) >= 8:
            raise RuntimeError("CUDA error: unspecified launch failure")

    disturbed = disturb(monkeypatch, lose)
    with pytest.raises(DeviceLost, match="unspecified launch failure"):
        list(engine.shards(request_, Tasks(job), Silent()))
    assert trails(Path(writer.store)) == ["000002"]
    assert writer.committed() == {0, 1}
    assert sum(min(asked) >= 8 for asked in disturbed.asked) == 1
    worker = engine._bench.worker(request_)
    with pytest.raises(DeviceLost, match="unspecified launch failure"):
        worker.do(task(job, 5))
    assert trails(Path(writer.store)) == ["000002"]


def test_a_prompt_that_loses_the_device_is_found_by_running_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command, again and again; no neighbour is blamed, nor the next shard,
    whose first prompt would be the next to fail."""
    lost = []

    def lose(batch: Sequence[TokenisedPrompt]) -> None:
        if lost or 9 in ids_of(batch):
            lost.append(batch)
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    disturb(monkeypatch, lose)
    runs = 0
    while True:
        lost.clear()  # as in a new process
        try:
            run = sweep(**OPTIONS | {"store": tmp_path})
            break
        except DeviceLost:
            runs += 1
            assert runs <= 4
    assert (run.status, run.n_prompts, run.n_quarantined) == ("complete", 23, 1)
    (row,) = rows(tmp_path, "quarantine").to_pylist()
    assert row["prompt_id"] == 9
    assert row["reason"].startswith("killed its process: 2 times")
    assert trails(tmp_path) == []


def test_memory_that_ran_out_is_noted_with_the_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its record, and in the log."""

    def little_memory(batch: Sequence[TokenisedPrompt]) -> None:
        if len(batch) > 1 and 5 in ids_of(batch):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    disturb(monkeypatch, little_memory)
    run = sweep(**OPTIONS | {"store": tmp_path})
    assert (run.n_prompts, run.n_quarantined) == (24, 0)
    job = plan_job(OPTIONS, LocalEngine(Workbench()).facts)
    infos = RunWriter(tmp_path, job.plan).infos()
    splits = [infos[shard]["n_splits"] for shard in range(6)]
    assert splits[1] in (1, 2)
    assert splits[:1] + splits[2:] == [0] * 5
    assert all(info["n_tokens"] and info["seconds"] > 0 for info in infos.values())
    (log,) = tmp_path.glob("runs/*/logs/*")
    (line,) = [line for line in log.read_text().splitlines() if "memory ran" in line]
    assert f"memory ran out {splits[1]} times: batches were halved" in line


def test_where_all_prompts_fail_the_sweep_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an example of what is wrong; the failures are committed."""

    def fail(batch: Sequence[TokenisedPrompt]) -> None:
        raise RuntimeError("nothing works")

    disturb(monkeypatch, fail)
    with pytest.raises(
        TooManyFailed, match=r"(\d\d) of \1 prompts.*nothing works.*check"
    ):
        sweep(**OPTIONS | {"store": tmp_path})
    assert trails(tmp_path) == []
    assert rows(tmp_path, "component_stats").num_rows == 0
    found = rows(tmp_path, "quarantine").to_pylist()
    assert len(found) in (12, 16, 20)
    assert {row["reason"] for row in found} == {"failed: RuntimeError: nothing works"}


def test_another_model_than_the_plans_is_refused(job: Job, tmp_path: Path) -> None:
    """As where a worker's machine has other files of that name."""
    writer = RunWriter(tmp_path, replace(job.plan, model_hash="0123abcd"))
    with pytest.raises(ModelError, match="has another model 'tiny-llama' than the one"):
        worker_of(job, writer)


def test_a_shard_that_another_writer_committed_is_no_news(
    job: Job, writer: RunWriter
) -> None:
    """Its rows are there once; the log says so."""
    worker = worker_of(job, writer)
    first, second = worker.do(task(job, 0)), worker.do(task(job, 0))
    assert first is not None
    assert second is not None
    assert first.n_bytes > 0
    assert second.n_bytes == 0
    assert "another sweep had stored it" in said(second)
    assert "another sweep" not in said(first)
    assert rows(Path(writer.store), "prompts").num_rows == 4


def test_what_was_done_is_said_in_one_line(
    job: Job, writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an example of the prompts in quarantine."""

    def fail(batch: Sequence[TokenisedPrompt]) -> None:
        if 2 in ids_of(batch):
            raise ValueError("mine\nand more")

    disturb(monkeypatch, fail)
    done = worker_of(job, writer).do(task(job, 0))
    assert done is not None
    assert (done.n_prompts, done.n_quarantined) == (3, 1)
    assert done.example is not None
    assert done.example["prompt_id"] == 2
    line = said(done)
    assert line.startswith(f"shard 0: 3 prompts, {done.n_tokens} tokens, ")
    assert "; 1 in quarantine, such as {" in line
    assert "failed: ValueError: mine" in line
    assert "\n" not in line


def test_a_workbench_keeps_the_model_and_the_run(
    job: Job, request_: RunRequest
) -> None:
    """For the copies of a request that come with every task, too."""
    bench = Workbench(threads=1)
    worker = bench.worker(request_)
    assert bench.worker(pickle.loads(pickle.dumps(request_))) is worker
    assert bench.loaded(request_.model) is bench.loaded(REQUEST)


def test_a_tokenizer_that_is_sent_along_loads_no_model_again(
    job: Job, request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every copy of it is another object."""
    own = replace(request_.model, tokenizer=load_tokenizer("tiny-llama"))
    sent = replace(request_, model=own)
    loads: list[Any] = []

    def load(request: ModelRequest) -> object:
        loads.append(request)
        return loaded()

    monkeypatch.setattr(ModelRequest, "load", load)
    bench = Workbench()
    worker = bench.worker(sent)
    assert bench.worker(pickle.loads(pickle.dumps(sent))) is worker
    assert len(loads) == 1


def test_a_workbench_has_one_model_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last one is let go before another is loaded, as both may not fit."""
    loads: list[str] = []
    bench = Workbench()

    def load(request: ModelRequest) -> object:
        assert bench._model is None
        loads.append(request.dtype)
        return loaded()

    monkeypatch.setattr(ModelRequest, "load", load)
    for dtype in ("float32", "float32", "float64", "float32"):
        bench.loaded(replace(REQUEST, dtype=dtype))
    assert loads == ["float32", "float64", "float32"]


def test_threads_are_those_of_the_computing_thread(
    job: Job, writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this thread has."""
    seen = []
    disturb(monkeypatch, lambda batch: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    worker = ShardWorker(loaded(), tokeniser(), writer, threads=before + 2)
    worker.do(task(job, 0))
    worker.close()
    assert set(seen) == {before + 2}
