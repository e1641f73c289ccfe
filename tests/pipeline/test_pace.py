"""How long a sweep may take, and what can still be done in the time left."""

from types import SimpleNamespace

import pytest

from flowglass.pipeline import budget
from flowglass.pipeline.budget import Pace, duration_said, seconds_of
from flowglass.pipeline.errors import PlanError


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("45s", 45),
        ("90m", 5400),
        ("90 m", 5400),
        ("8h", 28_800),
        ("1.5h", 5400),
        ("2d", 172_800),
        (" 0.5s ", 0.5),
        ("007s", 7),
    ],
)
def test_a_budget_is_read_as_people_write_it(said: str, seconds: float) -> None:
    """A number and a unit, with or without a space."""
    assert seconds_of(said) == seconds


@pytest.mark.parametrize(
    "said",
    ["", "8", "h", "-1h", "0s", "0.0h", "8 hours", "1h30m", ".5h", "1e3s", "٣h h"],
)
def test_what_is_no_budget_is_refused(said: str) -> None:
    """It is repeated, with examples of what is one."""
    with pytest.raises(PlanError, match="expected a duration like 8h, 90m or 45s"):
        seconds_of(said)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1.0 m"),
        (3600, "1.0 h"),
        (5400, "1.5 h"),
        (86_400, "1.0 d"),
        (8_640_000, "100.0 d"),
    ],
)
def test_durations_are_said_in_the_largest_unit(seconds: float, said: str) -> None:
    """With one digit behind the point, but for seconds."""
    assert duration_said(seconds) == said


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that a sweep goes by, to be moved."""
    now = [5000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(budget, "time", clock)
    return now


def test_a_sweep_without_a_budget_is_never_over(now: list[float]) -> None:
    """However long it takes, at any pace."""
    pace = Pace(None, rate=1.0)
    now[0] += 1e9
    assert pace.fits(10**12)
    assert not pace.is_over()


def test_what_was_begun_before_counts(now: list[float]) -> None:
    """A hundred seconds at ten tokens a second are a thousand tokens."""
    pace = Pace(100, rate=10)
    assert pace.fits(600)
    assert not pace.fits(401)
    assert pace.fits(400)
    assert not pace.fits(1)


def test_what_does_not_fit_is_not_begun(now: list[float]) -> None:
    """A large shard that was refused leaves its room to a small one."""
    pace = Pace(100, rate=10)
    assert not pace.fits(1001)
    assert pace.fits(1000)


def test_measured_is_better_than_forecast(now: list[float]) -> None:
    """In both directions, from the second shard on."""
    pace = Pace(100, rate=10)
    assert pace.fits(300)
    now[0] += 10
    pace.done(100, worker="one", seconds=10)
    now[0] += 50
    pace.done(100, worker="one", seconds=50)  # 2 a second: 100 are begun, 40 s left
    assert not pace.fits(1)
    now[0] += 1
    pace.done(100, worker="one", seconds=1)  # 200 in 51 seconds: 39 are left
    assert pace.fits(150)
    assert not pace.fits(5)


def test_without_a_rate_shards_are_begun_until_one_is_done(now: list[float]) -> None:
    """As on a cluster; not once the time is up."""
    pace = Pace(100)
    assert pace.fits(10**9)
    now[0] += 10
    pace.done(10**3, worker="one", seconds=10)
    assert not pace.fits(10**4)
    now[0] += 90
    assert pace.is_over()
    assert not pace.fits(0)


def test_starting_a_worker_is_no_measure_of_its_speed(now: list[float]) -> None:
    """A worker that needs 50 seconds to load the model does a shard a second then."""
    pace = Pace(100)
    assert pace.fits(1000)
    now[0] += 51
    pace.done(1000, worker="one", seconds=1)
    assert pace.fits(40_000)
    now[0] += 40
    pace.done(40_000, worker="one", seconds=40)
    assert pace.fits(9000)
    assert not pace.fits(1)


def test_workers_share_what_was_begun(now: list[float]) -> None:
    """A shard is done by one of them, after half of what was begun before it."""
    pace = Pace(40, n_workers=lambda: 2)
    for _ in range(4):
        assert pace.fits(1000)
    now[0] += 20
    for worker in ("one", "two"):  # at the same moment: that says nothing
        pace.done(1000, worker=worker, seconds=10)
    assert not pace.fits(1001)  # the two in work take ten seconds of the twenty
    assert pace.fits(1000)
    assert not pace.fits(1000)


def test_ends_that_are_seen_together_make_no_shard_faster(now: list[float]) -> None:
    """It took at least as long as it was computed: these are 200 tokens in 30 s."""
    pace = Pace(100)
    assert pace.fits(400)
    now[0] += 10
    pace.done(100, worker="one", seconds=10)
    now[0] += 20
    for _ in range(2):
        pace.done(100, worker="one", seconds=10)
    assert pace.fits(366)
    assert not pace.fits(1)


def test_a_budget_that_is_spent_fits_nothing(now: list[float]) -> None:
    """Loading and measuring may have taken all of it."""
    assert Pace(-3, rate=10).is_over()
    assert not Pace(0).fits(1)
