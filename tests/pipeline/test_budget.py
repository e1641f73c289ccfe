"""A sweep with a budget ends in time, and goes on where it ended."""

import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowglass.datasets.tasks import sample
from flowglass.pipeline import (
    Run,
    budget,
    corpus,
    shard_worker,
    sweep,
    sweeping,
)
from flowglass.pipeline.forecast import Forecast
from flowglass.pipeline.progress import Silent
from flowglass.pipeline.prompts import TokenisedPrompt
from flowglass.pipeline.stopping import Stop
from flowglass.store.committed import read_committed
from flowglass.store.files import LocalFiles

from .shards import disturb, ids_of, quick_model
from .stores import assert_same_rows, rows

RATE = 1000.0
"""Tokens a second of a sweep on the made-up clock."""


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that a sweep goes by, to be moved."""
    now = [5000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    for module in (budget, shard_worker, sweeping):
        monkeypatch.setattr(module, "time", clock)
    return now


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep of several shards is a matter of a second."""
    monkeypatch.setattr(corpus, "SHARD_PROMPTS", 5)
    quick_model(monkeypatch)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a sweep over forty prompts of two categories, in two blocks: eight shards."""
    file = tmp_path_factory.mktemp("data") / "two.jsonl"
    drawn = [*sample("ioi", "held-out", 24), *sample("facts", "held-out", 16)]
    file.write_text(
        "\n".join(
            json.dumps({"text": p.text, "group": "ioi" if n < 24 else "facts"})
            for n, p in enumerate(drawn)
        )
    )
    return dict(model="tiny-llama", data=str(file), neurons=0, project="none")


@pytest.fixture(scope="module")
def whole(
    options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Stores of an undisturbed sweep in either order."""
    stores = {order: tmp_path_factory.mktemp(order) for order in ("given", "fair")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "SHARD_PROMPTS", 5)
        patch.setattr(sweeping, "forecast", lambda *_, **__: None)
        quick_model(patch)
        sweep(**options, store=stores["given"])
        sweep(**options, store=stores["fair"], budget="9h")
    return stores


class AfterShards(Silent):
    """Asks a sweep to stop once so many shards are committed."""

    def __init__(self, stop: Stop, n: int) -> None:
        self._stop, self._n = stop, n

    def wrote(self, n_bytes: int) -> None:
        self._n -= 1
        if self._n == 0:
            self._stop.signal = signal.SIGTERM


def begun(options: dict[str, Any], store: Path, **more: Any) -> Run:
    """A sweep that is stopped after its second shard; two more may be in work."""
    stop = Stop()
    run = sweep(
        **options, store=store, stop=stop, reporter=AfterShards(stop, 2), **more
    )
    assert run.status == "partial"
    assert 10 <= run.n_prompts <= 20
    return run


def shards_of(store: Path) -> list[list[int]]:
    """The prompts of every shard that is committed."""
    (run,) = (folder.name for folder in store.glob("runs/*"))
    shards = read_committed(LocalFiles(store), f"runs/{run}").shards
    return [
        [n for first, end in shards[shard].prompts for n in range(first, end)]
        for shard in sorted(shards)
    ]


def categories(store: Path) -> list[str]:
    return rows(store, "prompts")["category"].to_pylist()


def log_of(store: Path) -> list[str]:
    (path,) = store.glob("runs/*/logs/*.log")
    return [line[20:] for line in path.read_text().splitlines()]


@pytest.fixture
def timed(now: list[float], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, moved by RATE while prompts are run; the forecast is right."""

    def forecast(job: Any, engine: Any, *, seconds: float) -> Forecast:
        n_tokens = sum(shard.n_tokens for shard in job.shards)
        return Forecast(
            n_prompts=len(job.corpus),
            n_tokens=n_tokens,
            seconds=n_tokens / RATE,
            neuron_vocab_seconds=0.0,
            peak_memory=0,
            table_bytes={},
            sampled_tokens=n_tokens,
        )

    def work(batch: Sequence[TokenisedPrompt]) -> None:
        now[0] += sum(map(len, batch)) / RATE

    monkeypatch.setattr(sweeping, "forecast", forecast)
    disturb(monkeypatch, work)
    return now


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_budget_ends_a_sweep_in_time(
    share: float,
    timed: list[float],
    whole: dict[str, Path],
    options: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Partial, with whole shards only; those that come first."""
    took = sum(rows(whole["fair"], "prompts")["n_tokens"].to_pylist()) / RATE
    started = timed[0]
    run = sweep(**options, store=tmp_path, budget=f"{share * took:.3f}s")
    assert timed[0] - started <= share * took
    assert (run.status, run.n_planned) == ("partial", 40)
    assert run.n_prompts % 5 == 0
    assert 5 <= run.n_prompts <= share * 40
    assert shards_of(tmp_path) == shards_of(whole["fair"])[: run.n_prompts // 5]
    assert log_of(tmp_path)[-1] == (
        f"partial: {run.n_prompts} of 40 prompts are stored"
    )


def test_a_part_is_a_fair_sample(
    timed: list[float], options: dict[str, Any], tmp_path: Path
) -> None:
    """Every category has its share, though the file has one after the other."""
    begun(options, tmp_path, budget="9h")
    found = categories(tmp_path)
    assert abs(found.count("ioi") - 0.6 * len(found)) <= 1
    assert all(len(shard) == 5 for shard in shards_of(tmp_path))


@pytest.mark.parametrize("more", [{"budget": "9h"}, {}], ids=["again", "without"])
def test_a_sweep_with_a_budget_goes_on_to_the_end(
    more: dict[str, str],
    timed: list[float],
    whole: dict[str, Path],
    options: dict[str, Any],
    tmp_path: Path,
) -> None:
    """By the same call, and by one without a budget: the rows of an undisturbed sweep
    of the same order, bit for bit."""
    first = begun(options, tmp_path, budget="9h")
    done = sweep(**options, store=tmp_path, **more)
    assert (done.status, done.n_prompts, done.n_planned) == ("complete", 40, 40)
    assert done.run_id == first.run_id
    assert shards_of(tmp_path) == shards_of(whole["fair"])
    assert_same_rows(tmp_path, whole["fair"])


def test_a_run_keeps_the_order_that_it_was_begun_in(
    timed: list[float],
    whole: dict[str, Path],
    options: dict[str, Any],
    tmp_path: Path,
) -> None:
    """A budget comes too late for one that was begun without."""
    begun(options, tmp_path)
    assert categories(tmp_path).count("facts") == 0
    sweep(**options, store=tmp_path, budget="9h")
    neighbours = [list(range(start, start + 5)) for start in range(0, 40, 5)]
    assert shards_of(tmp_path) == neighbours
    assert_same_rows(tmp_path, whole["given"])


def test_a_run_of_an_older_flowglass_is_continued(
    timed: list[float], options: dict[str, Any], tmp_path: Path
) -> None:
    """Its plan says nothing of an order: it is the given one."""
    begun(options, tmp_path)
    (path,) = tmp_path.glob("runs/*/plan.json")
    plan = json.loads(path.read_text())
    del plan["config"]["order"]
    path.write_text(json.dumps(plan))
    assert sweep(**options, store=tmp_path, budget="9h").status == "complete"


def test_a_budget_for_nothing_does_nothing(
    timed: list[float], options: dict[str, Any], tmp_path: Path
) -> None:
    """The run is there all the same, and goes on with more."""
    run = sweep(**options, store=tmp_path, budget="0.001s")
    assert (run.status, run.n_prompts, run.n_planned) == ("partial", 0, 40)


def test_prompts_that_cannot_be_run_do_not_slow_the_pace(
    timed: list[float],
    whole: dict[str, Path],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A first shard without a row is done as any other."""
    bad = set(shards_of(whole["fair"])[0])

    def fail(batch: Sequence[TokenisedPrompt]) -> None:
        timed[0] += 0.001
        if bad & ids_of(batch):
            raise RuntimeError("no")

    disturb(monkeypatch, fail)
    run = sweep(**options, store=tmp_path, budget="9h")
    assert (run.status, run.n_prompts, run.n_quarantined) == ("complete", 35, 5)


def test_a_signal_while_it_is_measured_ends_a_sweep(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the measurement, which needs its own shards."""
    stop, measure = Stop(), sweeping.forecast

    def forecast(*given: Any, **more: Any) -> Forecast:
        stop.signal = signal.SIGINT
        for callback in stop._callbacks:
            callback()
        return measure(*given, **more)

    monkeypatch.setattr(sweeping, "forecast", forecast)
    run = sweep(**options, store=tmp_path, stop=stop, budget="2s")
    assert (run.status, run.n_prompts) == ("partial", 0)
    assert log_of(tmp_path)[1] == "stopped by SIGINT"


def test_real_seconds_are_kept_to(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real forecast, of prompts that take long: 4 seconds all of them."""
    sweep(**options, store=tmp_path / "compiled", limit=1)
    disturb(monkeypatch, lambda batch: time.sleep(0.1 * len(batch)))
    started = time.monotonic()
    run = sweep(**options, store=tmp_path / "store", budget="3s")
    took = time.monotonic() - started
    assert run.status == "partial"
    assert run.n_prompts % 5 == 0
    assert took < 8  # 3, if nobody else needs the machine
