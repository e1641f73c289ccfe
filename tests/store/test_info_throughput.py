"""Rates and times left are honest: made-up shards, and what is said of them."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from flowglass.store.throughput import (
    Going,
    Over,
    Progress,
    Quiet,
    Shard,
    Unknown,
    clock_offset,
    pace,
    rest_said,
)

START = 1_800_000_000.0


def run_of(shards: Iterable[Shard], *, left: int = 10) -> Progress:
    """A run that these shards were committed to, in order of time."""
    newest = sorted(shards, key=lambda shard: shard.at)
    return Progress(
        run_id="made-up",
        started_at="2027-01-15T08:00:00+00:00",
        status="partial",
        stopped=None,
        n_done=2 * len(newest),
        n_all=2 * (len(newest) + left),
        n_tokens=sum(shard.n_tokens for shard in newest),
        n_quarantined=0,
        n_bytes=0,
        n_shards_left=left,
        newest=newest,
        offset=0.0,
    )


def one_after_another(
    n: int, *, seconds: float, tokens: int = 600, start: float = START
) -> list[Shard]:
    """What one worker commits."""
    ends = (start + seconds * (i + 1) for i in range(n))
    return [Shard(end, seconds, tokens) for end in ends]


def going(run: Progress, *, now: float) -> Going:
    """The pace of a run that goes on."""
    found = pace(run, now=now)
    assert isinstance(found, Going)
    return found


@pytest.mark.parametrize("n", [1, 2, 7, 400])
def test_a_steady_worker(n: int) -> None:
    """From its first shard on: 600 tokens every 20 s, and 10 shards to come."""
    found = going(run_of(one_after_another(n, seconds=20.0)), now=START + 20 * n)
    assert found.tokens_per_second == pytest.approx(30)
    assert found.seconds_left == pytest.approx(200)


def test_workers_that_begin_together_are_no_faster_than_they_are() -> None:
    """Four shards within a second of each other took a minute each."""
    shards = [Shard(START + 60 + i / 4, 60 + i / 4, 600) for i in range(4)]
    found = going(run_of(shards), now=START + 61)
    assert found.tokens_per_second == pytest.approx(4 * 600 / 60.75)


def test_many_workers_out_of_step() -> None:
    """Five, a shard of 100 s each every 20 s: the rate is that of all."""
    shards = [Shard(START + 100 + 20 * i, 100.0, 600) for i in range(50)]
    assert going(run_of(shards), now=shards[-1].at).tokens_per_second == pytest.approx(
        30
    )


def test_the_rate_is_that_of_the_last_minutes() -> None:
    """An hour ago it went ten times as fast."""
    fast = one_after_another(360, seconds=10.0, tokens=3000)
    slow = one_after_another(10, seconds=40.0, tokens=1200, start=fast[-1].at)
    found = going(run_of([*fast, *slow]), now=slow[-1].at)
    assert found.tokens_per_second == pytest.approx(30)


def test_a_pause_is_no_work() -> None:
    """A run resumed after a night goes as fast as before."""
    before = one_after_another(5, seconds=20.0)
    after = one_after_another(2, seconds=20.0, start=before[-1].at + 8 * 3600)
    found = going(run_of([*before, *after]), now=after[-1].at)
    assert found.tokens_per_second == pytest.approx(30)


def test_the_time_left_runs_down_between_shards() -> None:
    """And not below nothing."""
    run = run_of(one_after_another(5, seconds=20.0), left=2)
    now = START + 100
    left = [going(run, now=now + s).seconds_left for s in (0, 15, 50)]
    assert left == pytest.approx([40, 25, 0])


def test_a_run_that_nobody_works_on_has_no_rate() -> None:
    """Three times the usual interval after its last shard, and a minute at least."""
    run = run_of(one_after_another(5, seconds=240.0))
    now = run.newest[-1].at
    assert isinstance(pace(run, now=now + 700), Going)
    assert pace(run, now=now + 730) == Quiet(730)
    assert rest_said(pace(run, now=now + 730)) == "no shard for 12 min"

    quick = run_of(one_after_another(5, seconds=0.5))
    assert isinstance(pace(quick, now=quick.newest[-1].at + 59), Going)
    assert isinstance(pace(quick, now=quick.newest[-1].at + 61), Quiet)


def test_records_that_do_not_say_how_long_they_took() -> None:
    """Then the first tells nothing, and the others by the time between them."""
    times = [START + 20 * i for i in range(4)]
    shards = [Shard(at, 0.0, 600) for at in times]
    assert pace(run_of(shards[:1]), now=START) == Unknown()
    assert going(run_of(shards), now=times[-1]).tokens_per_second == pytest.approx(30)


def test_nothing_is_said_of_runs_that_are_over_or_have_not_begun() -> None:
    """No rate of a complete or stopped run, none before the first shard."""
    run = run_of(one_after_another(5, seconds=20.0))
    for status in ("complete", "stopped"):
        assert pace(replace(run, status=status), now=START + 100) == Over()
    assert pace(run_of([]), now=START) == Unknown()


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0])
def test_a_clock_that_is_wrong_makes_no_run_quiet(ahead: float) -> None:
    """What came between two looks came then, whatever its record says."""
    shards = one_after_another(5, seconds=20.0, start=START + ahead)
    here = START + 100
    offset = clock_offset(shards[-1].at, since=here - 2, now=here)
    run = replace(run_of(shards), offset=offset)
    assert isinstance(pace(run, now=here + 10), Going)
    assert isinstance(pace(run, now=here + 90), Quiet)
