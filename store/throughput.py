"""How fast a run goes and when it will be done, from its commit records alone.

Steps: the newest shards of a run; of those, the ones since its last pause; of those,
the last minutes: tokens a second, and how long the shards that are missing will take. A
run to which no shard has come for longer than is usual has no rate: nobody works on it,
or nobody can tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from itertools import pairwise
from math import inf
from statistics import median

from .record import Record
from .snapshot import RunState, Snapshot

WINDOW = 300.0
"""A rate is that of so many seconds; of the last shard, if that took longer."""

PATIENCE = 3.0
"""A shard that takes so many times as long as is usual is not being made."""

LEAST_PATIENCE = 60.0
"""In seconds: what a busy machine may take at any time."""

NEWEST = 500
"""How many shards are looked at; more would change no rate."""


@dataclass(frozen=True)
class Shard:
    """When a shard was committed, by the clock of who did, and what it took."""

    at: float
    """Seconds since 1970."""
    seconds: float
    """The work on it; 0 if that was not noted."""
    n_tokens: int


@dataclass(frozen=True)
class Progress:
    """How far a run is, as one look found it."""

    run_id: str
    started_at: str
    status: str
    stopped: str | None
    n_done: int
    """Prompts, the quarantined included."""
    n_all: int
    n_tokens: int
    n_quarantined: int
    n_bytes: int
    n_shards_left: int
    newest: Sequence[Shard]
    """Oldest first."""
    offset: float
    """What to add to the clock here for the clock of whoever commits, in seconds."""


@dataclass(frozen=True)
class Going:
    """Shards come at this rate."""

    tokens_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Quiet:
    """No shard for longer than is usual."""

    seconds: float


@dataclass(frozen=True)
class Unknown:
    """Too few shards to tell."""


@dataclass(frozen=True)
class Over:
    """Complete, or stopped on purpose."""


Pace = Going | Quiet | Unknown | Over


class Observer:
    """What the runs of a store are doing, look by look."""

    runs: Mapping[str, Progress]
    """Oldest first."""

    def __init__(self) -> None:
        self.runs = {}
        self._snapshot: Snapshot | None = None
        self._looked = -inf

    def look(self, snapshot: Snapshot, *, now: float) -> None:
        """See a snapshot, which was taken `now`."""
        if snapshot is not self._snapshot:
            order = sorted(
                snapshot.runs.values(), key=lambda s: (s.plan.started_at, s.plan.run_id)
            )
            self.runs = {
                state.plan.run_id: progress(
                    state,
                    before=self.runs.get(state.plan.run_id),
                    looked=self._looked,
                    now=now,
                )
                for state in order
            }
            self._snapshot = snapshot
        self._looked = now


def progress(
    state: RunState, *, before: Progress | None, looked: float, now: float
) -> Progress:
    """A run as it is `now`, given what it was at the look before, at `looked`."""
    shards = state.committed.shards.values()
    newest = [
        _shard(record)
        for record in reversed(nlargest(NEWEST, shards, lambda r: r.committed_at))
    ]
    if before and before.newest[-1:] == newest[-1:]:
        offset = before.offset
    else:
        offset = clock_offset(newest[-1].at, since=looked, now=now) if newest else 0.0
    n_quarantined = state.total("n_quarantined")
    return Progress(
        run_id=state.plan.run_id,
        started_at=state.plan.started_at,
        status=state.status,
        stopped=state.stopped if state.status == "stopped" else None,
        n_done=state.total("n_prompts") + n_quarantined,
        n_all=state.plan.n_prompts,
        n_tokens=state.total("n_tokens"),
        n_quarantined=n_quarantined,
        n_bytes=state.n_bytes,
        n_shards_left=state.plan.n_shards - len(shards),
        newest=newest,
        offset=offset,
    )


def clock_offset(committed: float, *, since: float, now: float) -> float:
    """How far the clock of a writer is ahead, at the least that explains what was seen.

    The shard it says to have committed at `committed` was not there at `since` and was
    there `now`, by the clock here.

    >>> clock_offset(1000.0, since=995.0, now=1005.0)
    0.0
    >>> clock_offset(3000.0, since=995.0, now=1005.0)  # written in our future
    1995.0
    """
    return committed - min(max(committed, since), now)


def pace(run: Progress, *, now: float) -> Pace:
    """How fast a run goes, by the clock here."""
    if run.status != "partial":
        return Over()
    if not run.newest:
        return Unknown()
    silence = max(0.0, now + run.offset - run.newest[-1].at)
    patience = _patience(run.newest)
    if silence > patience:
        return Quiet(silence)
    sitting = since_last_pause(run.newest, patience=patience)
    seconds, counted = recent(sitting)
    if not counted or seconds <= 0:
        return Unknown()
    per_shard = seconds / len(counted)
    return Going(
        tokens_per_second=sum(shard.n_tokens for shard in counted) / seconds,
        seconds_left=max(0.0, run.n_shards_left * per_shard - silence),
    )


def since_last_pause(shards: Sequence[Shard], *, patience: float) -> Sequence[Shard]:
    """The last of these, back to where nobody was at work for longer than `patience`.

    Two shards of 10 s, an hour before two others:

    >>> at = [Shard(t, 10.0, 1) for t in (10.0, 20.0, 3610.0, 3620.0)]
    >>> [shard.at for shard in since_last_pause(at, patience=60.0)]
    [3610.0, 3620.0]
    """
    begun = inf
    for place in range(len(shards) - 1, -1, -1):
        if begun - shards[place].at > patience and begun < inf:
            return shards[place + 1 :]
        begun = min(begun, shards[place].at - shards[place].seconds)
    return shards


def recent(shards: Sequence[Shard]) -> tuple[float, Sequence[Shard]]:
    """The shards of the last `WINDOW` seconds, and how long exactly these took.

    That is since the last shard before them; or, of those that were the first, since
    the work on them began, so that several workers which begin together do not look
    like one that is as many times faster.
    """
    end = shards[-1].at
    before = [place for place, shard in enumerate(shards) if shard.at <= end - WINDOW]
    if before:
        return end - shards[before[-1]].at, shards[before[-1] + 1 :]
    begun = min(shard.at - shard.seconds for shard in shards)
    return end - begun, [shard for shard in shards if shard.at > begun]


def _patience(shards: Sequence[Shard]) -> float:
    """How long to wait for a shard before saying that none comes."""
    between = [late.at - early.at for early, late in pairwise(shards)]
    usual = max(
        median(between) if between else 0.0,
        median(shard.seconds for shard in shards),
    )
    return max(LEAST_PATIENCE, PATIENCE * usual)


def _shard(record: Record) -> Shard:
    return Shard(
        at=datetime.fromisoformat(record.committed_at).timestamp(),
        seconds=float(record.info.get("seconds", 0.0)),
        n_tokens=record.info["n_tokens"],
    )


def rate_said(pace: Pace) -> str:
    """Tokens a second; nothing where there is no rate.

    >>> rate_said(Going(1234.5, 60.0)), rate_said(Going(3.14159, 60.0))
    ('1,234', '3.1')
    """
    if not isinstance(pace, Going):
        return ""
    rate = pace.tokens_per_second
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def rest_said(pace: Pace) -> str:
    """When it will be done, or why nobody knows.

    >>> rest_said(Going(10.0, 7384.0)), rest_said(Quiet(720.0)), rest_said(Unknown())
    ('2 h 3 min left', 'no shard for 12 min', 'too early to tell')
    """
    match pace:
        case Going(seconds_left=seconds):
            return f"{duration_said(seconds)} left"
        case Quiet(seconds=seconds):
            return f"no shard for {duration_said(seconds)}"
        case Unknown():
            return "too early to tell"
        case Over():
            return ""


def duration_said(seconds: float) -> str:
    """A time as people say it, to two units at the most.

    >>> duration_said(4.2), duration_said(719), duration_said(86400 * 2 + 3600 * 5)
    ('4 s', '12 min', '2 d 5 h')
    """
    if round(seconds) < 60:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
