"""How much time and memory a query gets, and what is said when that is over."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from .errors import StoreError

_AMOUNT = re.compile(
    r"\s*(\d+(?:\.\d+)?)\s*(?:b|bytes?|([kmgt])(i?)b?)?\s*", re.IGNORECASE
)
_SPILL = 4
"""Bytes of temporary files for each byte of memory."""


class LimitReached(StoreError):
    """A query was stopped because it took too much time or memory."""

    def __init__(self, limit: Literal["seconds", "memory"], message: str) -> None:
        super().__init__(message)
        self.limit = limit


@dataclass(frozen=True)
class Limits:
    """What one query gets; `threads` None is as many as the machine has processors."""

    seconds: float
    memory: str
    threads: int | None

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise StoreError(f"seconds={self.seconds:g}: give a time above 0")
        in_bytes(self.memory)

    def as_request(self) -> dict[str, object]:
        """What the child is told."""
        return {
            "milliseconds": math.ceil(self.seconds * 1000),
            "memory": in_bytes(self.memory),
            "spill": _SPILL * in_bytes(self.memory),
            "threads": self.threads,
        }

    def too_long(self) -> LimitReached:
        """A query's time was over."""
        return LimitReached(
            "seconds",
            f"the query took more than {self.seconds:g} seconds and was stopped",
        )

    def too_large(self) -> LimitReached:
        """A query's memory was used up, or its temporary files."""
        return LimitReached(
            "memory", f"the query needs more than {self.memory} and was stopped"
        )


def in_bytes(amount: str) -> int:
    """How many bytes an amount is, as DuckDB understands it.

    >>> in_bytes("2GB"), in_bytes("1.5 GiB")
    (2000000000, 1610612736)
    """
    found = _AMOUNT.fullmatch(amount)
    if found is None or float(found[1]) == 0:
        raise StoreError(f"memory={amount!r}: give an amount such as 2GB or 500MiB")
    number, unit, binary = found.groups()
    power = "kmgt".index(unit.lower()) + 1 if unit else 0
    return int(float(number) * (1024 if binary else 1000) ** power)
