"""A share or a mean over prompts, and how far another draw of prompts would move it.

Both are the ratio of two sums over prompts, sum x / sum y: what a head brings from a
place over all it brings; contributions over targets. What lies within a prompt hangs
together, so prompts are what chance draws, whole. Two ways to the same interval: from
draws, and from sums of squares, which SQL has at once over any number of prompts. The
second is what the first becomes as prompts grow many (Cochran 1977, 6; Efron 1979).
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .resampling import Z, draws, t_quantile
from .routes import Floats, Ints

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST_PROMPTS = 10
"""With fewer, an interval says more about the formula than about the model."""

SUMS = """
    count(*) AS n, sum(x) AS x, sum(y) AS y,
    sum(x * x) AS xx, sum(x * y) AS xy, sum(y * y) AS yy
"""
"""What `with_ratio` needs of a relation with a row of x and y (DOUBLE) a prompt."""


def with_ratio(table: "pa.Table", name: str, *, least: float = -np.inf) -> "pa.Table":
    """A table with `name`, `low` and `high` in place of its columns of SUMS.

    `least` is what the ratio cannot be below. Null: the ratio where sum y is 0, the
    interval where n is below FEWEST_PROMPTS.
    """
    sums = ("n", "x", "y", "xx", "xy", "yy")
    ratio, low, high = interval_of_sums(
        *(table[c].to_numpy().astype(np.float64) for c in sums)
    )
    columns = {name: ratio, "low": np.maximum(low, least), "high": high}
    return _with_columns(table.drop_columns([*sums]), columns)


def interval_of_sums(
    n: Floats, x: Floats, y: Floats, xx: Floats, xy: Floats, yy: Floats
) -> tuple[Floats, Floats, Floats]:
    """[row], three times: R = sum x / sum y, and the ends of its 95% interval.

    With d = x - R y of each of n prompts, R moves by t sqrt(n / (n - 1) sum d^2) /
    sum y, where t is the 97.5% quantile of Student's distribution with n - 1 degrees.

    >>> sums = np.array([[16.0], [8], [16], [8], [8], [16]])
    >>> [end.round(3).item() for end in interval_of_sums(*sums)]
    [0.5, 0.225, 0.775]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = x / y
        squares = np.maximum(xx - 2 * ratio * xy + ratio**2 * yy, 0)
        half = _student(n) * np.sqrt(n / (n - 1) * squares) / y
    return np.where(y == 0, np.nan, ratio), ratio - half, ratio + half


def _student(n: Floats | Ints) -> Floats:
    """Of n prompts each: Student's t at 0.975; NaN below FEWEST_PROMPTS."""
    return np.array(
        [t_quantile(int(k) - 1) if k >= FEWEST_PROMPTS else np.nan for k in n]
    )


def resampled_interval(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    *,
    resamples: int,
    chance: np.random.Generator,
) -> tuple[Floats, Floats]:
    """[column], twice: the 95% interval of sum x / sum y, with x, y [prompt, column].

    A draw takes prompt p w_p times, as many in all as there are. Its ratio lies off by
    sum w d / sum w y with d = x - R y. sqrt(m / (m - 1)) makes that unbiased, and t / z
    wider where few prompts have y above 0, as in resampling.py. y is 0 or above; NaN
    where it is above in fewer than FEWEST_PROMPTS prompts.
    """
    m, n_columns = x.shape
    low, high = np.full(n_columns, np.nan), np.full(n_columns, np.nan)
    n = (y > 0).sum(axis=0)
    enough = n >= FEWEST_PROMPTS
    if not enough.any():
        return low, high
    # In rows: products with matrices in columns, as indexing leaves them, are slow.
    x, y = (np.ascontiguousarray(values[:, enough]) for values in (x, y))
    ratio = x.sum(axis=0, dtype=np.float64) / y.sum(axis=0, dtype=np.float64)
    d = x - ratio.astype(np.float32) * y
    moved = np.zeros((resamples, len(ratio)), np.float32)
    for place, times in draws(m, resamples, chance):
        weight = times @ y
        # One draw in 20,000 at most has no prompt where y is above 0: it moves nothing.
        np.divide(times @ d, weight, out=moved[place], where=weight > 0)
    ends = np.quantile(moved, [0.025, 0.975], axis=0)
    wider = np.sqrt(m / (m - 1)) * _student(n[enough]) / Z
    low[enough], high[enough] = ratio + ends * wider
    return low, high


def _with_columns(table: "pa.Table", columns: dict[str, Floats]) -> "pa.Table":
    """A table with further columns, null where they are NaN."""
    import pyarrow as pa

    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, from_pandas=True))
    return table
