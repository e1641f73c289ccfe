"""The bootstrap of prompts: how far chance moves means, of all components at once.

Of a prompt p, x_p [component] is what its targets add up to and t_p how many they are;
a cohort's mean is R = sum x / sum t, the mean over its targets: a ratio of two sums
(Cochran 1977, 6). Prompts are drawn whole, since targets of one prompt resemble one
another (Efron 1979).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .routes import Floats, Ints

DRAWN_AT_ONCE = 64

Z = 1.959963984540054
"""The normal quantile of 0.975."""


@dataclass(frozen=True)
class PromptSums:
    """What the prompts of a cohort add up to."""

    total: NDArray[np.float32]
    """[prompt, component]: the sum over the prompt's targets in the cohort."""
    n_targets: Ints
    """[prompt]: how many these are."""

    @property
    def mean(self) -> Floats:
        """[component]: the mean over all targets; NaN without one."""
        with np.errstate(invalid="ignore"):
            mean: Floats = self.total.sum(axis=0, dtype=np.float64) / self.n_all
        return mean

    @property
    def n_all(self) -> int:
        """Targets of all prompts."""
        return int(self.n_targets.sum())

    @property
    def n_prompts(self) -> int:
        """Prompts that have a target in the cohort."""
        return int((self.n_targets > 0).sum())


@dataclass(frozen=True)
class Apart:
    """Two cohorts without a prompt in common."""

    a: PromptSums
    b: PromptSums


@dataclass(frozen=True)
class Together:
    """Two cohorts of which row p is the same prompt, or the same text in two runs.

    `n_targets` is 0 where a prompt has no target in one of them.
    """

    a: PromptSums
    b: PromptSums


def draws(
    n_prompts: int, resamples: int, chance: np.random.Generator
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """How often each prompt is drawn, [draw, prompt], and the places of these draws."""
    for start in range(0, resamples, DRAWN_AT_ONCE):
        stop = min(start + DRAWN_AT_ONCE, resamples)
        times = np.empty((stop - start, n_prompts), np.float32)
        for draw in times:
            drawn = chance.integers(n_prompts, size=n_prompts)
            draw[:] = np.bincount(drawn, minlength=n_prompts)
        yield slice(start, stop), times


def drawn_deviations(
    contribution: NDArray[np.floating[Any]],
    n_targets: Ints,
    *,
    n_prompts: int,
    resamples: int,
    chance: np.random.Generator,
) -> Floats:
    """[draw, component]: how far chance moves the means per target of `n_prompts`.

    Of which m are given, as `contribution` [prompt, component] and `n_targets`
    [prompt]. A draw takes prompt p w_p times, m in all, and its mean is
    sum w x / sum w t, with x and t what p has of both. Of its distance from
    sum x / sum t, sqrt(m / (m - 1)) makes it unbiased (a draw knows the sample's own
    mean), and sqrt(m / n_prompts) what it were with all of them.
    """
    m, n_components = contribution.shape
    of = PromptSums(contribution.astype(np.float32, copy=False), n_targets)
    surplus = surplus_over(of, of.mean)
    deviations = np.empty((resamples, n_components))
    for here, times in draws(m, resamples, chance):
        deviations[here] = _moved(times, surplus, n_targets)
    return deviations * sqrt(m / (m - 1) * m / n_prompts)


def difference_deviations(
    cohorts: Apart | Together, *, resamples: int, chance: np.random.Generator
) -> Floats:
    """[draw, component]: how far chance moves mean a - mean b.

    Cohorts apart are drawn each by itself; prompts of both are drawn with all their
    targets, so that what moves both means alike cancels. A draw without a target of
    one of them is left out.
    """
    a, b = cohorts.a, cohorts.b
    if isinstance(cohorts, Apart):
        of_a, of_b = (
            drawn_deviations(
                of.total,
                of.n_targets,
                n_prompts=len(of.total),
                resamples=resamples,
                chance=chance,
            )
            for of in (a, b)
        )
        return of_a - of_b
    m, n_components = a.total.shape
    surplus_a, surplus_b = surplus_over(a, a.mean), surplus_over(b, b.mean)
    deviations = np.empty((resamples, n_components))
    for here, times in draws(m, resamples, chance):
        moved = _moved(times, surplus_a, a.n_targets)
        deviations[here] = moved - _moved(times, surplus_b, b.n_targets)
    drawn = np.isfinite(deviations).all(axis=1)
    return deviations[drawn] * sqrt(m / (m - 1))


def surplus_over(of: PromptSums, mean: Floats) -> NDArray[np.float32]:
    """[prompt, component]: x - mean t, what a prompt has above its targets' share.

    sum w x / sum w t - mean = sum w (x - mean t) / sum w t, without the loss of digits.
    """
    surplus = np.outer(of.n_targets.astype(np.float32), mean.astype(np.float32))
    np.subtract(of.total, surplus, out=surplus)
    return surplus


def interval_around(
    difference: Floats, deviations: Floats, *, fewest_prompts: int
) -> tuple[Floats, Floats]:
    """[component], twice: the 95% interval of a difference of means.

    The quantiles of its deviations, wider by t / z with `fewest_prompts` - 1 degrees of
    freedom, those of the smaller cohort: as narrow as they are they would miss too
    often in a small one (Hesterberg 2015, the expanded percentile interval).
    """
    wider = t_quantile(fewest_prompts - 1) / Z
    ends = np.quantile(deviations, [0.025, 0.975], axis=0) * wider
    return difference + ends[0], difference + ends[1]


def t_quantile(freedom: int) -> float:
    """Student's t at 0.975, by the series of Abramowitz and Stegun (1964), 26.7.5.

    >>> [round(t_quantile(n), 3) for n in (9, 30, 1000)]
    [2.262, 2.042, 1.962]
    """
    terms = (
        Z,
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return float(sum(term / freedom**power for power, term in enumerate(terms)))


def standardised(difference: Floats, a: PromptSums, b: PromptSums) -> Floats:
    """[component]: the difference in standard deviations between prompts.

    Cohen's d with the mean of the two variances (Cumming 2012: d_av): of cohorts apart
    and of paired ones alike, and whatever their sizes. A variance is that of the
    prompts' values on the scale of one target,
    s^2 = sum (x - R t)^2 / (t_mean^2 (n - 1)). NaN where nothing varies.
    """
    variance = (_variance(a) + _variance(b)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        effect: Floats = np.where(variance > 0, difference / np.sqrt(variance), np.nan)
    return effect


def _variance(of: PromptSums) -> Floats:
    n, mean_targets = of.n_prompts, of.n_all / of.n_prompts
    squares = np.square(surplus_over(of, of.mean)).sum(axis=0, dtype=np.float64)
    variance: Floats = squares / (mean_targets**2 * (n - 1))
    return variance


def _moved(
    times: NDArray[np.float32], surplus: NDArray[np.float32], n_targets: Ints
) -> Floats:
    """[draw, component]; NaN where a draw holds no target."""
    drawn = times @ n_targets.astype(np.float32)
    with np.errstate(invalid="ignore"):
        return (times @ surplus).astype(np.float64) / drawn[:, None]
