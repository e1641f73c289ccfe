"""How long a sweep may take: durations, and what can still be done in the time left."""

import re
import time
from collections.abc import Callable

from .errors import PlanError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(budget: str) -> float:
    """A duration as a person writes it, in seconds; raises PlanError.

    >>> seconds_of("8h"), seconds_of("90 m")
    (28800.0, 5400.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", budget.strip())
    if not found or not float(found[1]):
        raise PlanError(f"budget {budget!r}: expected a duration like 8h, 90m or 45s")
    return float(found[1]) * UNITS[found[2]]


def duration_said(seconds: float) -> str:
    """A duration for people.

    >>> duration_said(40), duration_said(5400), duration_said(200_000)
    ('40 s', '1.5 h', '2.3 d')
    """
    unit = max(
        (u for u in UNITS if seconds >= UNITS[u]), key=lambda u: UNITS[u], default="s"
    )
    return f"{seconds / UNITS[unit]:.{0 if unit == 's' else 1}f} {unit}"


class Pace:
    """How fast a sweep goes, and whether a shard can be done before the time is up.

    The speed is that of one worker, measured from its first shard on: starting a worker
    and loading the model are not done again for the next shard.
    """

    def __init__(
        self,
        seconds: float | None,
        *,
        rate: float | None = None,
        n_workers: Callable[[], int] = lambda: 1,
    ) -> None:
        """`seconds` from now are there; None for as long as it takes. `rate` is in
        tokens a second of one worker, as a forecast has it; None if nobody knows yet.
        `n_workers` says how many are there now."""
        self._end = None if seconds is None else time.monotonic() + seconds
        self._rate = rate
        self._n_workers = n_workers
        self._begun = self._done = 0
        self._last: dict[str, float] = {}
        """When each worker was done last."""
        self._tokens, self._took = 0, 0.0
        """Of all shards but the first one of each worker."""

    def fits(self, n_tokens: int) -> bool:
        """Whether a shard with so many tokens will be done in time, behind those begun
        before it; if so it counts as begun."""
        fits = not self.is_over() and self._is_in_time(n_tokens)
        self._begun += n_tokens if fits else 0
        return fits

    def _is_in_time(self, n_tokens: int) -> bool:
        if self._end is None or self._rate is None:
            return True
        # The workers share what was begun before; this one is then done by one of them.
        before = (self._begun - self._done) / max(1, self._n_workers())
        return time.monotonic() + (before + n_tokens) / self._rate <= self._end

    def done(self, n_tokens: int, *, worker: str, seconds: float) -> None:
        """A shard is done, which this worker computed in so many seconds; measured is
        better than forecast."""
        now, before = time.monotonic(), self._last.get(worker)
        self._last[worker] = now
        self._done += n_tokens
        if before is not None:
            self._tokens += n_tokens
            self._took += max(
                now - before, seconds
            )  # a shard is seen done late perhaps
            self._rate = self._tokens / self._took
        elif self._rate is None:
            self._rate = n_tokens / seconds

    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and time.monotonic() >= self._end
