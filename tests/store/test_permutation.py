"""p-values and q-values: every permutation, scipy, statsmodels, how often they err."""

from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from flowglass.store import permutation
from flowglass.store.permutation import (
    benjamini_hochberg,
    enough_permutations,
    flipped_p,
    p_values,
    permuted_p,
)
from flowglass.store.resampling import Apart, PromptSums, Together

from .cohort_worlds import Array, apart, sums, together, world

Make = Callable[[int], Apart | Together]


def p_of(
    cohorts: Apart | Together, seed: int = 0, *, permutations: int = 1999
) -> Array:
    chance = np.random.default_rng(seed)
    return p_values(cohorts, permutations=permutations, chance=chance)


def welch(x: Array, y: Array, axis: int) -> Array:
    statistic: Array = stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic
    return np.abs(statistic)


def mean_difference(x: Array, y: Array, axis: int) -> Array:
    difference: Array = np.mean(x - y, axis=axis)
    return difference


def test_p_is_that_of_every_permutation_by_scipy() -> None:
    """Nine prompts of one target: 126 ways to give them to cohorts of 4 and 5."""
    cohorts = apart(4, 5, 6, seed=3, planted=0.05, most_targets=1)
    a, b = cohorts.a, cohorts.b
    due = stats.permutation_test(
        (a.total.astype(float), b.total.astype(float)),
        welch,
        n_resamples=10_000,
        vectorized=True,
        alternative="greater",
    )
    found = permuted_p(a, b, permutations=40_000, chance=np.random.default_rng(0))
    assert found == pytest.approx(due.pvalue, abs=0.01)


def test_p_of_pairs_is_that_of_every_flip_by_scipy() -> None:
    """Eight prompts with one target in each cohort: 256 ways to name these."""
    chance = np.random.default_rng(1)
    ones = np.ones(8, np.int64)
    a, b = (sums(chance.normal(mean, 1, (8, 6)), ones) for mean in (0.8, 0.0))
    due = stats.permutation_test(
        (a.total.astype(float), b.total.astype(float)),
        mean_difference,
        permutation_type="samples",
        n_resamples=10_000,
        vectorized=True,
    )
    found = flipped_p(a, b, permutations=40_000, chance=np.random.default_rng(0))
    assert found == pytest.approx(due.pvalue, abs=0.01)


def studentised(a: list[int], b: list[int], x: Array, t: Array) -> float:
    """The statistic of permuted_p, written out for one component."""
    means, variances = [], []
    for of in (a, b):
        mean = x[of].sum() / t[of].sum()
        squares = ((x[of] - mean * t[of]) ** 2).sum()
        means.append(mean)
        variances.append(squares / t[of].sum() ** 2 * len(of) / (len(of) - 1))
    return float((means[0] - means[1]) / np.sqrt(sum(variances)))


def test_prompts_of_several_targets_change_cohorts_whole() -> None:
    """A ratio of two sums: every one of 126 ways, by brute force."""
    cohorts = apart(4, 5, 1, seed=8, planted=0.05, most_targets=6)
    x = np.concatenate([cohorts.a.total, cohorts.b.total])[:, 0].astype(float)
    t = np.concatenate([cohorts.a.n_targets, cohorts.b.n_targets]).astype(float)
    ways = [
        studentised([*of_a], sorted({*range(9)} - {*of_a}), x, t)
        for of_a in combinations(range(9), 4)
    ]
    observed = abs(studentised([0, 1, 2, 3], [4, 5, 6, 7, 8], x, t))
    due = np.mean(np.abs(ways) >= observed - 1e-9)
    assert p_of(cohorts, permutations=40_000) == pytest.approx(due, abs=0.01)


def test_within_a_prompt_both_shares_change_names() -> None:
    """Of seven prompts, one only in a: every one of 128 ways, by brute force."""
    chance = np.random.default_rng(2)
    t_a, t_b = np.array([1, 2, 1, 3, 1, 1, 2]), np.array([4, 3, 5, 4, 2, 6, 0])
    a, b = (sums(chance.gamma(2, 0.5, (7, 1)) * t[:, None], t) for t in (t_a, t_b))
    middle = (a.mean[0] + b.mean[0]) / 2
    added = (a.total[:, 0] - middle * t_a) / t_a.sum()
    added = added - (b.total[:, 0] - middle * t_b) / t_b.sum()
    assert added.sum() == pytest.approx(a.mean[0] - b.mean[0], abs=1e-6)
    ways = [abs((np.array(s) * added).sum()) for s in product((-1, 1), repeat=7)]
    due = np.mean(np.array(ways) >= abs(added.sum()) - 1e-9)
    found = p_of(Together(a, b), permutations=40_000)
    assert found == pytest.approx(due, abs=0.01)


@pytest.mark.parametrize("n", [1, 7, 156])
def test_q_is_that_of_statsmodels_and_scipy(n: int) -> None:
    """Benjamini and Hochberg, with equal p-values among them."""
    p = np.random.default_rng(n).integers(1, 50, n) / 100
    q = benjamini_hochberg(p)
    assert q == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert q == pytest.approx(stats.false_discovery_control(p))


@pytest.mark.parametrize("n_components", [1, 20, 156, 1056])
def test_one_component_alone_can_be_found(n_components: int) -> None:
    """With so many permutations its q is below 0.05, though all others are chance."""
    p = np.ones(n_components)
    p[0] = 1 / (1 + enough_permutations(n_components))
    assert benjamini_hochberg(p)[0] <= 0.025


def test_p_is_never_0_and_1_where_nothing_differs() -> None:
    """A component that no cohort has, and one that only a has."""
    n = np.ones(30, np.int64)
    a = sums(np.column_stack([np.zeros(30), np.ones(30)]), n)
    b = sums(np.zeros((30, 2)), n)
    for cohorts in (Apart(a, b), Together(a, b)):
        assert p_of(cohorts).tolist() == [1.0, 1 / 2000]


def any_found(make: Make, n_worlds: int) -> int:
    """In how many worlds any component has q < 0.05."""
    return sum(
        bool((benjamini_hochberg(p_of(make(seed), seed)) < 0.05).any())
        for seed in range(n_worlds)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: apart(30, 60, 20, seed),
        lambda seed: together(40, 20, seed),
    ],
    ids=["apart", "together"],
)
def test_without_a_difference_hardly_any_is_found(make: Make) -> None:
    """5% of 200 null splits are due, and up to 19 may be chance."""
    assert any_found(make, 200) <= 19


def test_only_the_means_are_compared() -> None:
    """A small cohort three times as wide: p < 0.05 about as often as it says."""
    p = np.array([p_of(apart(20, 80, 10, seed, spread=3), seed) for seed in range(150)])
    assert 0.03 <= (p < 0.05).mean() <= 0.08


def test_planted_differences_are_found() -> None:
    """The power that docs/statistics.md states: 0.8 deviations, 100 prompts each.

    Five of 156 components, of which 95% are due; of what is found 5% are chance, on
    average over worlds: components rise and fall together, so chance comes in heaps.
    """
    planted = np.zeros(156)
    planted[:5] = 0.8 * 0.05
    found, shares_of_chance = [], []
    for seed in range(20):
        cohorts = apart(100, 100, 156, seed, planted=planted, most_targets=1)
        p = p_of(cohorts, seed, permutations=enough_permutations(156))
        is_found = benjamini_hochberg(p) < 0.05
        found.append(is_found[:5].mean())
        shares_of_chance.append(is_found[5:].sum() / max(is_found.sum(), 1))
    assert np.mean(found) >= 0.95
    assert np.mean(shares_of_chance) <= 0.1


def halves(of: PromptSums) -> list[PromptSums]:
    return [PromptSums(of.total[i::2], of.n_targets[i::2]) for i in (0, 1)]


@pytest.mark.parametrize("paired", [False, True])
def test_groups_of_prompts_say_what_prompts_say(
    paired: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 3000 prompts in 300 groups, p is as without groups, from 1 to 0.001."""
    planted = np.linspace(0, 0.008, 12)
    of = world(3000, 12, np.random.default_rng(0), planted=planted)
    other = world(3000, 12, np.random.default_rng(1))
    cohorts = Together(of, other) if paired else Apart(of, halves(other)[0])
    monkeypatch.setattr(permutation, "FEWEST_GROUPS", 300)
    monkeypatch.setattr(permutation, "MOST_GROUPS", 300)
    grouped = p_of(cohorts, permutations=4000)
    monkeypatch.setattr(permutation, "FEWEST_GROUPS", 10_000)
    monkeypatch.setattr(permutation, "MOST_GROUPS", 10_000)
    of_all = p_of(cohorts, permutations=4000)
    assert grouped.min() < 0.005
    assert grouped.max() > 0.3
    assert stats.norm.isf(grouped / 2) == pytest.approx(
        stats.norm.isf(of_all / 2), abs=0.35
    )


def test_a_small_cohort_keeps_all_its_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 against 5000, 20 still differ: the large one gives way."""
    monkeypatch.setattr(permutation, "MOST_GROUPS", 400)
    cohorts = apart(20, 5000, 4, 0, planted=np.array([0.1, 0, 0, 0]))
    p = p_of(cohorts)
    assert p[0] == 1 / 2000
    assert p[1:].min() > 0.05
