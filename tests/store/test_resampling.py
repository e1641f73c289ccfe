"""The bootstrap: every possible draw, known theory, scipy, and how often it covers."""

from itertools import product
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from flowglass.store.resampling import (
    Apart,
    PromptSums,
    Together,
    difference_deviations,
    drawn_deviations,
    interval_around,
    standardised,
    t_quantile,
)

from .cohort_worlds import apart, sums, together, world


def interval_of(
    cohorts: Apart | Together, seed: int, *, resamples: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    deviations = difference_deviations(
        cohorts, resamples=resamples, chance=np.random.default_rng(seed)
    )
    fewest = min(cohorts.a.n_prompts, cohorts.b.n_prompts)
    difference = cohorts.a.mean - cohorts.b.mean
    return interval_around(difference, deviations, fewest_prompts=fewest)


def test_a_mean_is_that_of_targets() -> None:
    """Three targets of one prompt count three times; a prompt without one, not."""
    of = sums(np.array([[3.0], [0.0], [1.0]]), np.array([3, 0, 1]))
    assert of.mean.tolist() == [1.0]
    assert (of.n_prompts, of.n_all) == (2, 4)


def test_deviations_are_those_of_every_possible_draw() -> None:
    """Of four prompts there are 256 draws; drawn often, each comes up as often."""
    x = np.array([[0.0, 1.0], [0.5, 1.5], [0.25, 0.25], [1.0, 0.0]])
    t = np.array([1, 3, 1, 2])
    draws = [list(draw) for draw in product(range(4), repeat=4)]
    due = np.array([x[d].sum(axis=0) / t[d].sum() for d in draws])
    due = (due - x.sum(axis=0) / t.sum()) * sqrt(4 / 3 * 4 / 9)
    drawn = drawn_deviations(
        x, t, n_prompts=9, resamples=100_000, chance=np.random.default_rng(0)
    )
    assert drawn.mean(axis=0) == pytest.approx(due.mean(axis=0), abs=2e-3)
    assert drawn.std(axis=0) == pytest.approx(due.std(axis=0), rel=0.01)
    for share in (0.1, 0.5, 0.9):
        at = np.quantile(due, share, axis=0)
        below = (drawn <= at + 1e-6).mean(axis=0)
        assert below == pytest.approx((due <= at + 1e-6).mean(axis=0), abs=0.01)


def test_prompts_of_both_cohorts_are_drawn_with_all_they_have() -> None:
    """Of four prompts, one without a target in a, every draw but those without any."""
    a = sums(np.array([[0.5], [2.0], [0.25], [0.0]]), np.array([1, 2, 1, 0]))
    b = sums(np.array([[1.0], [0.5], [1.5], [0.125]]), np.array([3, 1, 1, 1]))
    due = []
    for draw in map(list, product(range(4), repeat=4)):
        if n_targets := a.n_targets[draw].sum():
            of_a = a.total[draw].sum() / n_targets
            due.append(of_a - b.total[draw].sum() / b.n_targets[draw].sum())
    deviations = (np.array(due) - (a.mean - b.mean)) * sqrt(4 / 3)
    drawn = difference_deviations(
        Together(a, b), resamples=100_000, chance=np.random.default_rng(0)
    )
    assert 99_000 < len(drawn) < 100_000
    assert drawn.mean() == pytest.approx(deviations.mean(), abs=5e-3)
    assert drawn.std() == pytest.approx(deviations.std(), rel=0.01)


def test_targets_of_a_prompt_are_drawn_together() -> None:
    """The same target thrice in each prompt says no more than once."""
    x = np.random.default_rng(0).random((40, 5))
    once, thrice = (
        drawn_deviations(
            n * x,
            np.full(40, n),
            n_prompts=40,
            resamples=50,
            chance=np.random.default_rng(1),
        )
        for n in (1, 3)
    )
    assert once == pytest.approx(thrice, abs=1e-6)


def test_of_many_prompts_the_interval_is_that_of_welch() -> None:
    """One target a prompt: Welch's t interval of a difference, by scipy."""
    cohorts = Apart(
        world(900, 6, np.random.default_rng(0), most_targets=1, spread=2.0),
        world(400, 6, np.random.default_rng(1), most_targets=1),
    )
    found = stats.ttest_ind(cohorts.a.total, cohorts.b.total, equal_var=False)
    due = found.confidence_interval(0.95)
    low, high = interval_of(cohorts, 0, resamples=20_000)
    width = float((due.high - due.low).max())
    assert low == pytest.approx(due.low, abs=0.03 * width)
    assert high == pytest.approx(due.high, abs=0.03 * width)


def test_of_paired_prompts_the_interval_is_that_of_their_differences() -> None:
    """One target each: the paired t interval, by scipy."""
    chance = np.random.default_rng(0)
    shared = chance.normal(0, 1, (500, 6))
    a, b = (
        sums(shared + chance.normal(0, 0.1, shared.shape), np.ones(500, int))
        for _ in range(2)
    )
    due = stats.ttest_rel(a.total, b.total).confidence_interval(0.95)
    low, high = interval_of(Together(a, b), 0, resamples=20_000)
    width = float((due.high - due.low).max())
    assert low == pytest.approx(due.low, abs=0.03 * width)
    assert high == pytest.approx(due.high, abs=0.03 * width)
    apart_low, apart_high = interval_of(Apart(a, b), 0)
    assert (apart_high - apart_low > 5 * (high - low)).all()


@pytest.mark.parametrize("n_prompts", [(12, 12), (15, 80), (100, 200)])
def test_intervals_cover_the_true_difference(n_prompts: tuple[int, int]) -> None:
    """92 to 98% of those of 400 pairs of cohorts, skewed, one of them wider."""
    covered = []
    for seed in range(400):
        cohorts = apart(*n_prompts, 5, seed, spread=1.5)
        low, high = interval_of(cohorts, seed, resamples=400)
        covered.append((low <= 0) & (high >= 0))
    assert 0.92 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize("n_prompts", [20, 150])
def test_intervals_of_shared_prompts_cover_it_too(n_prompts: int) -> None:
    """With more targets in b, and some prompts without any in one of them."""
    covered = []
    for seed in range(400):
        low, high = interval_of(together(n_prompts, 5, seed), seed, resamples=400)
        covered.append((low <= 0) & (high >= 0))
    assert 0.92 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize("freedom", [9, 12, 30, 500])
def test_the_quantile_of_t_is_that_of_scipy(freedom: int) -> None:
    """From ten prompts on, to four digits."""
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-4)


def test_the_effect_is_in_deviations_between_prompts() -> None:
    """Means 3 and 1, variances 4 and 16 / 3: by hand."""
    a = sums(np.array([[1.0], [3.0], [5.0]]), np.array([1, 1, 1]))
    b = sums(np.array([[-1.0], [-1.0], [3.0], [3.0]]), np.array([1, 1, 1, 1]))
    effect = standardised(a.mean - b.mean, a, b)
    assert effect == pytest.approx([2 / sqrt((4 + 16 / 3) / 2)])


def test_the_effect_is_on_the_scale_of_one_target() -> None:
    """As many targets in each prompt, all alike, change nothing."""
    cohorts = apart(20, 30, 4, 0, most_targets=1)
    due = standardised(cohorts.a.mean - cohorts.b.mean, cohorts.a, cohorts.b)
    often = [
        PromptSums(of.total * 3, of.n_targets * 3) for of in (cohorts.a, cohorts.b)
    ]
    assert standardised(often[0].mean - often[1].mean, *often) == pytest.approx(
        due, rel=1e-4
    )


def test_what_does_not_vary_has_no_effect_size() -> None:
    """Not infinitely large, not 0: there is none."""
    of = sums(np.ones((12, 1)), np.ones(12, np.int64))
    assert np.isnan(standardised(np.array([0.0]), of, of)).all()
