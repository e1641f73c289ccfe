"""Sweeps on the workers of a cluster: the rows of an undisturbed one, whatever dies."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from flowglass.datasets.tasks import sample
from flowglass.pipeline import sweep
from flowglass.pipeline.errors import ClusterError, PlanError
from flowglass.store import open_store

from .poison import DEADLY, FAILING, save_poisoned
from .stores import assert_same_rows, rows
from .tiny_models import tiny_llama

KILLS = 10 if os.environ.get("FLOWGLASS_SOAK") else 3
BIN = Path(sys.executable).parent
FEW_ROWS = ("--neurons", "0", "--project", "none")


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight shards of prompts."""
    file = tmp_path_factory.mktemp("data") / "mixed.jsonl"
    drawn = [*sample("facts", "held-out", 500), *sample("ioi", "held-out", 1500)]
    file.write_text(
        "\n".join(json.dumps({"text": p.text, "group": p.category}) for p in drawn)
    )
    return file


@pytest.fixture(scope="module")
def undisturbed(prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a sweep on two workers that nobody disturbs."""
    store = tmp_path_factory.mktemp("undisturbed")
    with sweeping(prompts, store, "--workers", "2") as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return store


@contextmanager
def sweeping(prompts: Path, store: Path, *options: str) -> Iterator[subprocess.Popen]:
    """The command, in a group of processes of its own."""
    command = [BIN / "flowglass", "sweep", "--model", "tiny-llama", *FEW_ROWS]
    command += ["--data", prompts, "--store", store, *options]
    process = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_shards(process: subprocess.Popen, store: Path, n: int) -> None:
    """Until so many are committed, or the process has ended."""
    while process.poll() is None and len(commits(store)) < n:
        time.sleep(0.05)


def commits(store: Path) -> list[Path]:
    return list(store.glob("runs/*/commits/*.json"))


def workers_at_work(process: subprocess.Popen) -> list[int]:
    """Process ids of the workers below a command."""
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [
        pid
        for pid in pids
        if status_of(pid)[1:] == [str(process.pid)]
        and "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    ]


def status_of(pid: int) -> list[str]:
    """The state of a process and its parent; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return []


def test_killed_workers_lose_and_double_nothing(
    prompts: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """kill -9 of a random worker, again and again: the rows are those of an undisturbed
    sweep, and nothing is left that says otherwise."""
    rng = random.Random(1)
    killed = 0
    with sweeping(prompts, tmp_path, "--workers", "2") as process:
        for _ in range(KILLS):
            before = len(commits(tmp_path))
            wait_for_shards(process, tmp_path, before + (killed > 0))
            while process.poll() is None and not list(
                tmp_path.glob("runs/*/suspects/*")
            ):
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 1))
            if process.poll() is None and (there := workers_at_work(process)):
                os.kill(rng.choice(there), signal.SIGKILL)
                killed += 1
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert killed >= min(KILLS, 3)
    assert said.count("it is replaced") >= 1
    assert_same_rows(tmp_path, undisturbed)
    assert not list(tmp_path.glob("runs/*/suspects/*"))


def test_a_command_that_ends_at_once_is_resumed(
    prompts: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """Killed, so that its scheduler dies with it; by a second Ctrl-C. No worker stays,
    nothing that is committed is lost, and the same command goes on."""

    def kill(process: subprocess.Popen) -> None:
        process.kill()

    def interrupt_twice(process: subprocess.Popen) -> None:
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.2)

    for end, code in ((kill, -signal.SIGKILL), (interrupt_twice, 130)):
        before = len(commits(tmp_path))
        with sweeping(prompts, tmp_path, "--workers", "2") as process:
            wait_for_shards(process, tmp_path, before + 1)
            workers = workers_at_work(process)
            assert len(workers) == 2
            end(process)
            process.communicate(timeout=10)
            wait_for_death(workers)
        assert process.returncode == code
        assert len(commits(tmp_path)) > before
    with sweeping(prompts, tmp_path, "--workers", "2") as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "are stored already" in said
    assert_same_rows(tmp_path, undisturbed)


def wait_for_death(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(status_of(pid)[:1] not in ([], ["Z"]) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def scheduler_and_worker(port: int) -> Iterator[list[subprocess.Popen]]:
    """A cluster that somebody has started."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    dask += ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address]
    worker += ["--nthreads", "1", "--no-dashboard"]
    processes = [subprocess.Popen(dask, **quiet), subprocess.Popen(worker, **quiet)]
    try:
        yield processes
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def test_a_vanished_scheduler_is_told(prompts: Path, tmp_path: Path) -> None:
    """One line, exit code 2; what is committed stays."""
    port = 20000 + os.getpid() % 20000
    options = ("--scheduler", f"tcp://127.0.0.1:{port}")
    with (
        scheduler_and_worker(port) as cluster,
        sweeping(prompts, tmp_path, *options) as process,
    ):
        wait_for_shards(process, tmp_path, 2)
        cluster[0].kill()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert said.splitlines()[-1].startswith("error: the scheduler does not answer")
    assert "Traceback" not in said
    assert 2 <= len(commits(tmp_path)) < 8


@pytest.mark.parametrize(
    ("sent", "options"), [(signal.SIGINT, ("--workers", "2")), (signal.SIGTERM, ())]
)
def test_a_signal_ends_a_sweep_after_the_shards_in_work(
    sent: signal.Signals, options: tuple[str, ...], prompts: Path, tmp_path: Path
) -> None:
    """As Ctrl-C in a terminal, which all processes get; it says how to go on."""
    with sweeping(prompts, tmp_path, *options) as process:
        wait_for_shards(process, tmp_path, 1)
        if sent == signal.SIGINT:
            os.killpg(process.pid, sent)
        else:
            process.send_signal(sent)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + sent
    assert "once more to stop at once" in said
    assert "Traceback" not in said
    assert 1 <= len(commits(tmp_path)) <= 4
    assert not list(tmp_path.glob("runs/*/suspects/*"))
    assert not list(tmp_path.glob("runs/*/tmp/*"))


def test_workers_and_one_process_agree(
    prompts: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """Within a rounding step: they may use other numbers of threads."""
    sweep(
        model="tiny-llama", data=str(prompts), store=tmp_path, neurons=0, project="none"
    )
    for table, columns in {
        "edges": "prompt_id, layer, query, key, kind, head, contribution",
        "importance": "prompt_id, target, layer, component, index, contribution",
    }.items():
        with open_store(tmp_path) as one, open_store(undisturbed) as other:
            query = f"select {columns} from {table} order by all"
            found, due = one.table(query), other.table(query)
        # Parts at the cutoff may be in one of them alone.
        assert abs(found.num_rows - due.num_rows) <= 1e-4 * due.num_rows
        if found.num_rows == due.num_rows:
            assert found.drop(["contribution"]) == due.drop(["contribution"])
            np.testing.assert_allclose(
                found["contribution"], due["contribution"], rtol=2**-6
            )


@pytest.fixture
def poisoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    return save_poisoned(tmp_path / "poisoned")


def test_a_prompt_that_kills_its_worker_is_found(
    poisoned: Path, tmp_path: Path
) -> None:
    """It alone is in quarantine; the rows of all others are there."""
    texts = [p.text for p in sample("ioi", "held-out", 60)]
    texts[50], texts[20] = DEADLY, FAILING
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts))
    command = [BIN / "flowglass", "sweep", "--model", poisoned, *FEW_ROWS]
    command += ["--trust-remote-code", "--data", tmp_path / "p.jsonl"]
    command += ["--store", tmp_path / "s", "--workers", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    found = {r["prompt_id"]: r for r in rows(tmp_path / "s", "quarantine").to_pylist()}
    assert found.keys() == {20, 50}
    assert found[50]["reason"].startswith("killed its process: 2 times")
    assert found[20]["reason"] == (
        "failed: RuntimeError: this prompt is too much for me"
    )
    assert found[50]["text"] == DEADLY
    assert rows(tmp_path / "s", "prompts").num_rows == 58
    assert "2 quarantined" in ended.stdout


def test_what_cannot_be_a_cluster_is_said(prompts: Path, tmp_path: Path) -> None:
    """Before anything is loaded."""

    def refused(error: type[Exception], **options: object) -> str:
        with pytest.raises(error) as refusal:
            sweep(**{"model": "tiny-llama", **options}, data="ioi", store=tmp_path)  # type: ignore[arg-type]
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
