"""Sweeps on workers in processes of their own: the rows of an undisturbed one, whatever
dies. Every command and worker takes seconds to start, so that one store is disturbed in
all ways, one after the other."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowglass.datasets.tasks import sample
from flowglass.pipeline import corpus
from flowglass.pipeline.cluster import n_cores
from flowglass.pipeline.engine import LocalEngine
from flowglass.pipeline.progress import Silent
from flowglass.pipeline.shard_worker import Workbench
from flowglass.pipeline.sweep_runs import all_options
from flowglass.pipeline.sweeping import sweep_on

from .commands import (
    SHARD_PROMPTS,
    attempts,
    commits,
    sweeping,
    wait_for_death,
    wait_for_shards,
    workers_of,
)
from .stores import assert_same_rows

SOAK = bool(os.environ.get("FLOWGLASS_SOAK"))
KILLS = 10 if SOAK else 3
N_SHARDS = 16 + 3 * KILLS
TWO = ("--workers", "2")


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of mixed lengths, in two blocks."""
    file = tmp_path_factory.mktemp("data") / "mixed.jsonl"
    n = N_SHARDS * SHARD_PROMPTS
    drawn = [
        *sample("facts", "held-out", n // 4),
        *sample("ioi", "held-out", n - n // 4),
    ]
    file.write_text(
        "\n".join(json.dumps({"text": p.text, "group": p.category}) for p in drawn)
    )
    return file


@pytest.fixture(scope="module")
def undisturbed(prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a sweep in this process, with the threads that a worker has."""
    store = tmp_path_factory.mktemp("undisturbed")
    swept_here(prompts, store)
    return store


def swept_here(prompts: Path, store: Path) -> None:
    """The sweep of the command, to its end."""
    options = dict(model="tiny-llama", data=str(prompts), neurons=0, project="none")
    engine = LocalEngine(Workbench(threads=max(1, n_cores() // 2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "SHARD_PROMPTS", SHARD_PROMPTS)
        run = sweep_on(engine, {**all_options(options), "store": store}, Silent())
    assert run.status == "complete"


def test_a_sweep_that_is_disturbed_has_the_rows_of_any_other(
    prompts: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """The same command goes on each time, in the end without workers; nothing is lost
    and nothing is there twice."""
    said = ends_at_once(kill_workers_then_all, -signal.SIGKILL, prompts, tmp_path)
    assert "it is replaced" in said
    assert "2 workers; the cluster's dashboard is at http://127.0.0.1:" in said
    if SOAK:  # the second signal has a test of its own
        ends_at_once(interrupt_twice, 128 + signal.SIGINT, prompts, tmp_path)
    ends_after_the_shards_in_work(prompts, tmp_path)
    swept_here(prompts, tmp_path)
    assert_same_rows(tmp_path, undisturbed)
    assert not attempts(tmp_path)


def kill_workers_then_all(process: subprocess.Popen, store: Path) -> None:
    """kill -9 of a random worker, again and again, while shards are in work; then of
    the command, and its scheduler with it."""
    rng = random.Random(1)
    for _ in range(KILLS):
        wait_for_shards(process, store, len(commits(store)) + 1)
        while not attempts(store):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        os.kill(rng.choice(workers_of(process)), signal.SIGKILL)
    wait_for_shards(process, store, len(commits(store)) + 1)
    process.kill()


def interrupt_twice(process: subprocess.Popen, store: Path) -> None:
    """As Ctrl-C in a terminal, which all processes get."""
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)


def ends_at_once(
    end: Callable[[subprocess.Popen, Path], None], code: int, prompts: Path, store: Path
) -> str:
    """Within seconds, no worker stays, and what is committed does; what was said."""
    before = len(commits(store))
    with sweeping(prompts, store, *TWO) as process:
        wait_for_shards(process, store, before + 1)
        workers = workers_of(process)
        assert len(workers) == 2
        end(process, store)
        said, _ = process.communicate(timeout=10)
        wait_for_death(workers)
    assert process.returncode == code
    assert before < len(commits(store)) < N_SHARDS
    return str(said)


def ends_after_the_shards_in_work(prompts: Path, store: Path) -> None:
    """One Ctrl-C: it says how to end at once, and leaves no mark of any attempt; that
    workers end is no news."""
    before = len(commits(store))
    with sweeping(prompts, store, *TWO) as process:
        wait_for_shards(process, store, before + 1)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, said
    assert "are stored already" in said
    assert "once more to stop at once" in said
    assert "the same command goes on" in said
    assert "it is replaced" not in said
    assert "Traceback" not in said
    assert before < len(commits(store)) <= before + 6  # two in work, four behind them
    assert not attempts(store)
    assert not list(store.glob("runs/*/tmp/*"))
