"""How long a sweep may take: durations, and what can still be done in the time left."""

import re
import time

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
    """How fast a sweep goes, and whether a shard can be done before the time is up."""

    def __init__(self, seconds: float | None, *, rate: float | None = None) -> None:
        """`seconds` from now are there; None for as long as it takes. `rate` is in
        tokens a second, as a forecast has it; None if nobody knows yet."""
        self._started = time.monotonic()
        self._end = None if seconds is None else self._started + seconds
        self._rate = rate
        self._begun = self._done = 0

    def fits(self, n_tokens: int) -> bool:
        """Whether a shard with so many tokens will be done in time, behind those begun
        before it; if so it counts as begun."""
        waiting = self._begun - self._done + n_tokens
        fits = not self.is_over() and (
            self._end is None
            or self._rate is None
            or time.monotonic() + waiting / self._rate <= self._end
        )
        self._begun += n_tokens if fits else 0
        return fits

    def done(self, n_tokens: int) -> None:
        """A shard is done; measured is better than forecast."""
        self._done += n_tokens
        self._rate = self._done / max(time.monotonic() - self._started, 1e-9)

    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and time.monotonic() >= self._end
