"""Looks at a store: begun when due, for all readers, while nobody waits."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from flowglass.store import open_store
from flowglass.store.errors import StoreError
from flowglass.store.run import RunWriter
from flowglass.store.store import Store
from flowglass.viewer.pulse import BUSY, IDLE, Pulse

from .synthetic import commit_shard, plan_of
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape

RUN = "growing"


@pytest.fixture
def writer(tmp_path: Path) -> RunWriter:
    """A run of two shards, the first of which is there."""
    plan = plan_of(RUN, Shape(), n_prompts=2, n_shards=2)
    writer = RunWriter(tmp_path / "runs", plan)
    commit_shard(writer, 0, [make_prompt(0)], Shape())
    return writer


@pytest.fixture
def store(writer: RunWriter, tmp_path: Path) -> Iterator[Store]:
    """Its store, opened before the second."""
    with open_store(tmp_path / "runs") as opened:
        yield opened


def until(came: Callable[[], Any]) -> Any:
    """What it gives once that is something."""
    deadline = time.monotonic() + 30
    while not (found := came()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found
    return found


def rests(pulse: Pulse) -> bool:
    """Whether no look is at work."""
    return all(job.done() for job in pulse._jobs.values())


def test_a_beat_does_not_wait_for_a_slow_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it begin a second look while one is at work."""
    begun, go = [], Event()

    def slow() -> bool:
        begun.append(1)
        return go.wait(30)

    monkeypatch.setattr(store, "refresh", slow)
    with Pulse(store) as pulse:
        started = time.monotonic()
        for _ in range(20):
            pulse.ask()
            assert pulse.beat() == 0
        assert time.monotonic() - started < 1
        go.set()
        assert until(pulse.beat) == 1
        assert len(begun) == 1


def test_what_was_committed_is_seen_once(store: Store, writer: RunWriter) -> None:
    """The number moves when something has changed, and only then."""
    with Pulse(store) as pulse:
        commit_shard(writer, 1, [make_prompt(1)], Shape())
        assert until(pulse.beat) == 1
        assert pulse.runs[RUN].n_done == 2
        pulse.ask()
        pulse.beat()
    assert pulse.n_changes == 1


def test_a_store_that_is_away_for_a_minute_is_said_to_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was known stays."""

    def gone() -> bool:
        raise StoreError("no network")

    with Pulse(store) as pulse, monkeypatch.context() as patched:
        patched.setattr(store, "refresh", gone)
        assert until(pulse.beat) == 1
        assert pulse.trouble == "no network"
        assert pulse.runs[RUN].n_done == 1
        patched.undo()
        pulse.ask()
        assert until(lambda: pulse.beat() == 2)
        assert pulse.trouble == ""


def test_a_mistake_of_ours_is_not_hidden(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised where the server logs it."""

    def wrong() -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(store, "refresh", wrong)
    with Pulse(store) as pulse, pytest.raises(ZeroDivisionError):
        until(pulse.beat)


def test_it_looks_often_while_a_run_is_at_work(store: Store, writer: RunWriter) -> None:
    """And seldom once all are complete."""
    with Pulse(store) as pulse:
        pulse.beat()
        until(lambda: rests(pulse))
        assert 0 < pulse._due["look"] - time.monotonic() <= BUSY
        commit_shard(writer, 1, [make_prompt(1)], Shape())
        pulse.ask()
        assert until(pulse.beat) == 1
        until(lambda: rests(pulse))
        assert BUSY < pulse._due["look"] - time.monotonic() <= IDLE


def test_frequencies_are_counted_behind_and_shared(
    store: Store, writer: RunWriter
) -> None:
    """None at first; then the same for everybody, until shards come."""
    with Pulse(store) as pulse:
        assert pulse.frequency(RUN, 0.04) is None
        first = until(lambda: pulse.frequency(RUN, 0.04))
        assert first.table.equals(store.activation_frequency(RUN))
        assert pulse.frequency(RUN, 0.04) is first

        commit_shard(writer, 1, [make_prompt(1)], Shape())
        until(pulse.beat)
        later = until(
            lambda: (
                (found := pulse.frequency(RUN, 0.04)) and found is not first and found
            )
        )
        assert later.run.n_done == 2
        assert set(later.table["n_targets"].to_pylist()) == {2}


def test_an_answer_is_kept_until_a_shard_comes(store: Store, writer: RunWriter) -> None:
    """For each question and run its own; what fails is asked again."""
    asked: list[str] = []

    def ask(answer: str) -> Callable[[], str]:
        def asking() -> str:
            asked.append(answer)
            return answer

        return asking

    def fail() -> str:
        raise StoreError("no disk")

    with Pulse(store) as pulse:
        with pytest.raises(StoreError):
            pulse.kept("corpus", RUN, fail)
        assert pulse.kept("corpus", RUN, ask("one")) == "one"
        assert pulse.kept("corpus", RUN, ask("other")) == "one"
        assert pulse.kept("groups", RUN, ask("two")) == "two"
        commit_shard(writer, 1, [make_prompt(1)], Shape())
        store.refresh()
        assert pulse.kept("corpus", RUN, ask("three")) == "three"
    assert asked == ["one", "two", "three"]
