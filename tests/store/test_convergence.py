"""How many prompts a ranking takes: against worlds whose true ranking is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flowglass.store import StoreError, open_store
from flowglass.store.certainty import TooFewPrompts, first
from flowglass.store.convergence import Convergence, convergence, found_shares
from flowglass.store.resampling import drawn_deviations

from .builders import important, make_plan, prompt, target
from .hand_made import write

N_HEADS = 40


@pytest.mark.parametrize("spread", [0.3, 1.0])
@pytest.mark.parametrize("n_prompts", [40, 300])
def test_samples_find_as_many_heads_as_was_said(spread: float, n_prompts: int) -> None:
    """Samples smaller than what is there, as large, and four times as large.

    In 30 worlds of 144 heads, skewed contributions that rise and fall together; two
    heads of twenty off, on average, at most; 95% intervals hold in 85% at least.
    """
    chance = np.random.default_rng([n_prompts, int(spread * 10)])
    sizes = np.array([20, n_prompts, 4 * n_prompts])
    found, expected, inside = np.empty((3, 30, len(sizes)))
    for world in range(30):
        true = 0.02 * np.exp(chance.normal(0, spread, 144))

        def sample(n: int, true: np.ndarray = true) -> np.ndarray:
            own, shared = chance.gamma(1, 1, (n, 144)), chance.gamma(4, 0.25, (n, 1))
            return true * own * shared

        x = sample(n_prompts)
        drawn = drawn_deviations(
            x,
            np.ones(n_prompts, int),
            n_prompts=n_prompts,
            resamples=400,
            chance=chance,
        )
        shares = found_shares(
            x.mean(axis=0), drawn, n_prompts=n_prompts, sizes=sizes, top=20
        )
        due = first(true, 20)
        found[world] = [
            np.isin(first(sample(n).mean(axis=0), 20), due).mean() for n in sizes
        ]
        expected[world] = shares.mean(axis=1)
        low, high = np.quantile(shares, [0.025, 0.975], axis=1)
        inside[world] = (low <= found[world]) & (found[world] <= high)
    assert np.abs(expected.mean(axis=0) - found.mean(axis=0)).max() <= 0.1
    assert inside.mean() >= 0.85


def made_up(root: Path, n_prompts: int, *, noise: float) -> None:
    """A run of 40 heads, each of which brings a fifth more than the one before."""
    plan = replace(make_plan(n_shards=1), n_layers=4, n_heads=10)
    chance = np.random.default_rng(0)
    brought = (
        1.2 ** np.arange(N_HEADS)
        / 2000
        * chance.gamma(1 / noise**2, noise**2, (n_prompts, N_HEADS))
    )
    write(
        root,
        plan,
        prompts=[prompt(i) for i in range(n_prompts)],
        targets=[target(i) for i in range(n_prompts)],
        importance=[
            important(i, head // 10, head % 10, contribution=float(brought[i, head]))
            for i in range(n_prompts)
            for head in range(N_HEADS)
        ],
    )


def found_in(root: Path, **options: int) -> Convergence:
    with open_store(root) as store:
        found = store.convergence("tiny", **options)
    assert isinstance(found, Convergence)
    return found


def test_a_ranking_that_is_clear_is_stable_early(tmp_path: Path) -> None:
    """The curve rises to 1, and passes 90% where `needed` says."""
    made_up(tmp_path, 60, noise=0.5)
    found = found_in(tmp_path, top=10)
    assert found.is_stable
    assert (found.n_prompts, found.top, found.n_heads) == (60, 10, N_HEADS)
    n, expected = (found.curve[name].to_numpy() for name in ("n", "expected"))
    assert found.needed is not None
    assert expected[n < found.needed].max(initial=0) < 0.9
    assert expected[n > found.needed].min() >= 0.9
    assert expected[-1] > 0.98
    assert (np.diff(expected) > -0.02).all()
    assert (n[0], n[-1]) == (10, 16 * 60)
    between = np.interp(60, n, expected)
    assert found.now == pytest.approx(between, abs=0.02)
    for name in ("low", "high"):
        assert (found.curve[name].to_numpy() <= 1).all()


def test_a_ranking_by_luck_is_not_stable_yet(tmp_path: Path) -> None:
    """With twenty times the noise it takes more prompts than there are."""
    made_up(tmp_path, 60, noise=4.0)
    found = found_in(tmp_path, top=10)
    assert not found.is_stable
    assert found.now < 0.9
    assert found.needed is None or found.needed > 60


def test_all_heads_are_always_found(tmp_path: Path) -> None:
    """Where no more heads are than rank first."""
    made_up(tmp_path, 40, noise=1.0)
    found = found_in(tmp_path, top=N_HEADS)
    assert (found.now, found.needed) == (1.0, 10)


def test_too_few_prompts_have_no_curve(tmp_path: Path) -> None:
    """Fewer than thirty; a run that is not there is named."""
    made_up(tmp_path, 29, noise=1.0)
    with open_store(tmp_path) as store:
        found = convergence(store, "tiny")
        with pytest.raises(StoreError, match="did you mean tiny"):
            convergence(store, "tinny")
    assert isinstance(found, TooFewPrompts)
    assert found.n_traced == 29
