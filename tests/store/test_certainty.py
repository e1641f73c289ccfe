"""How sure a ranking is: against every possible draw, and corpora known as a whole."""

from collections.abc import Iterable
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from flowglass.store import StoreError, certainty, open_store
from flowglass.store.certainty import (
    RankedHead,
    RankingCertainty,
    TooFewPrompts,
    contributions,
    final_means,
    first,
    interval,
    n_staying,
    ranking_certainty,
    said,
)
from flowglass.store.plan import Plan
from flowglass.store.resampling import drawn_deviations
from flowglass.store.rollup import component_stats
from flowglass.store.run import RunWriter

from .builders import N_HEADS, N_LAYERS, important, make_plan, prompt, rows, target

Array = NDArray[np.float64]
HEADS = [(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]


def plan_of(n_prompts: int, run_id: str = "tiny") -> Plan:
    """A plan of so many prompts, in shards of 50."""
    plan = make_plan(run_id, n_shards=-(-n_prompts // 50))
    return replace(plan, config={**plan.config, "n_prompts": n_prompts})


def n_targets_of(prompt_id: int) -> int:
    """No, one or two targets: a sixth of the prompts has none."""
    return min(prompt_id % 6, 2)


def brought(prompt_id: int, position: int) -> dict[tuple[int, int], float]:
    """What heads bring to a target; to every fifth prompt's, none does."""
    chance = np.random.default_rng([prompt_id, position])
    if prompt_id % 5 == 3:
        return {}
    share = {(0, 1): 0.5, (1, 0): 0.4, (1, 2): 0.3}
    return {h: float(chance.integers(1, 128)) / 128 * s for h, s in share.items()}


def commit(
    writer: RunWriter, shard: int, ids: Iterable[int], quarantined: int = 0
) -> None:
    """A shard of these prompts, in three categories, each with an FFN besides."""
    ids = list(ids)
    targets = [(i, position) for i in ids for position in range(n_targets_of(i))]
    important_heads = [
        important(i, layer, head, contribution=value) | {"target": position}
        for i, position in targets
        for (layer, head), value in brought(i, position).items()
    ]
    ffns = [
        important(i, 0, 0, component="ffn", contribution=0.9) | {"target": position}
        for i, position in targets
    ]
    tables = {
        "prompts": rows("prompts", *(prompt(i, category="abc"[i % 3]) for i in ids)),
        "targets": rows("targets", *(target(i, position) for i, position in targets)),
        "importance": rows("importance", *important_heads, *ffns),
    }
    tables["component_stats"] = component_stats(
        tables["prompts"],
        tables["targets"],
        tables["importance"],
        n_layers=N_LAYERS,
        n_heads=N_HEADS,
        cutoff=0.01,
    )
    counts = {"n_prompts": len(ids), "n_tokens": 3, "n_quarantined": quarantined}
    assert writer.commit(shard, tables, prompt_ids=ids, info=counts)


def made_up(root: Path, *, n_done: int, n_planned: int, run_id: str = "tiny") -> None:
    """A run whose prompts 0 to n_done are there, in shards of 50."""
    writer = RunWriter(root, plan_of(n_planned, run_id))
    for shard, start in enumerate(range(0, n_done, 50)):
        commit(writer, shard, range(start, min(start + 50, n_done)))


def by_hand(ids: Iterable[int]) -> tuple[Array, NDArray[np.int64]]:
    """[prompt, head] and [prompt]: contributions and targets, of prompts with any."""
    ids = [i for i in ids if n_targets_of(i)]
    x = np.zeros((len(ids), len(HEADS)))
    for row, i in enumerate(ids):
        for position in range(n_targets_of(i)):
            for head, value in brought(i, position).items():
                x[row, HEADS.index(head)] += np.float32(value)
    return x, np.array([n_targets_of(i) for i in ids])


def found(root: Path, **options: int) -> RankingCertainty:
    with open_store(root) as store:
        certainty = ranking_certainty(store, "tiny", **options)
    assert isinstance(certainty, RankingCertainty)
    return certainty


def test_the_means_are_those_of_targets(tmp_path: Path) -> None:
    """Not of prompts; a target without a head counts as 0, FFNs do not count."""
    made_up(tmp_path, n_done=150, n_planned=600)
    x, t = by_hand(range(150))
    mean = x.sum(axis=0) / t.sum()
    order = sorted(range(len(HEADS)), key=lambda i: (-mean[i], HEADS[i]))
    now = found(tmp_path, top=4)
    assert [(h.layer, h.head) for h in now.heads] == [HEADS[i] for i in order[:4]]
    assert [h.mean for h in now.heads] == pytest.approx(mean[order[:4]])
    assert (now.n_prompts, now.n_planned) == (150, 600)


def test_the_intervals_are_as_wide_as_theory_says(tmp_path: Path) -> None:
    """Of the mean of a sample without replacement, as a ratio (Cochran 1977, 6.4)."""
    made_up(tmp_path, n_done=150, n_planned=600)
    x, t = by_hand(range(150))
    n, mean = len(t), x.sum(axis=0) / t.sum()
    residual = x - np.outer(t, mean)
    error = (
        np.sqrt((1 - 150 / 600) * (residual**2).sum(axis=0) / (n - 1) / n) / t.mean()
    )
    for head in found(tmp_path, top=3, resamples=20_000).heads:
        due = 1.96 * error[HEADS.index((head.layer, head.head))]
        assert head.high - head.mean == pytest.approx(due, rel=0.06)
        assert head.mean - head.low == pytest.approx(due, rel=0.06)


def test_contributions_are_read_for_the_prompts_asked_for(tmp_path: Path) -> None:
    """In their order, targets added up, prompts without a row as zeros."""
    made_up(tmp_path, n_done=100, n_planned=600)
    made_up(tmp_path, n_done=50, n_planned=50, run_id="other")
    ids = [i for i in range(3, 100, 4) if n_targets_of(i)]
    with open_store(tmp_path) as store:
        read = contributions(store, plan_of(600), np.array(ids))
    assert read == pytest.approx(by_hand(ids)[0])
    assert (read[[i % 5 == 3 for i in ids]] == 0).all()


def test_a_run_that_is_done_is_certain(tmp_path: Path) -> None:
    """However few prompts it has; those in quarantine are done too."""
    writer = RunWriter(tmp_path, plan_of(5))
    commit(writer, 0, range(4), quarantined=1)
    now = found(tmp_path, top=3)
    assert (now.n_prompts, now.expected_to_stay, now.least_to_stay) == (5, 3.0, 3)
    assert all(h.low == h.mean == h.high for h in now.heads)
    assert said(now).startswith("the 3 heads that rank first: certain, for all prompts")


def test_more_done_is_surer(tmp_path: Path) -> None:
    """The same prompts of a smaller corpus leave less to chance."""
    for n_planned in (160, 6000):
        made_up(tmp_path / str(n_planned), n_done=150, n_planned=n_planned)
    near, far = (found(tmp_path / str(n), top=2) for n in (160, 6000))
    assert near.least_to_stay >= far.least_to_stay
    for a, b in zip(near.heads, far.heads, strict=True):
        shrink = sqrt((1 - 150 / 160) / (1 - 150 / 6000))
        assert (a.high - a.low) / (b.high - b.low) == pytest.approx(shrink)


def test_the_same_seed_says_the_same(tmp_path: Path) -> None:
    """However the prompts fell into shards and categories; another seed, others."""
    made_up(tmp_path / "one", n_done=150, n_planned=600)
    writer = RunWriter(tmp_path / "two", plan_of(600))
    for shard in range(3):
        commit(writer, shard, range(shard, 150, 3))  # a category each
    one, two = found(tmp_path / "one"), found(tmp_path / "two")
    assert one == two
    assert found(tmp_path / "one", seed=1) != one


def test_few_prompts_of_many_say_as_much_as_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chance measured on a part of the prompts is that of all of them."""
    made_up(tmp_path, n_done=550, n_planned=1100)
    of_all = found(tmp_path, top=3)
    monkeypatch.setattr(certainty, "MOST_PROMPTS", 200)
    of_some = found(tmp_path, top=3)
    for a, b in zip(of_all.heads, of_some.heads, strict=True):
        assert (a.layer, a.head, a.mean) == (b.layer, b.head, b.mean)
        assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.2)


def test_too_few_prompts_give_no_figures(tmp_path: Path) -> None:
    """Five sixths of the prompts have a target, which is what counts."""
    made_up(tmp_path, n_done=35, n_planned=600)
    with open_store(tmp_path) as store:
        few = ranking_certainty(store, "tiny")
    assert few == TooFewPrompts(n_prompts=35, n_planned=600, n_traced=29)
    assert said(few) == (
        "29 prompts with a target are too few to say how sure the ranking of heads is: "
        "that takes 30"
    )


def test_a_run_without_targets_ranks_nothing(tmp_path: Path) -> None:
    """Done or not; nothing of it is there yet."""
    for run_id, n_planned in (("done", 1), ("begun", 60)):
        commit(RunWriter(tmp_path, plan_of(n_planned, run_id)), 0, [0])
    RunWriter(tmp_path, plan_of(60, "new"))
    with open_store(tmp_path) as store:
        done, begun, new = (
            ranking_certainty(store, run_id) for run_id in ("done", "begun", "new")
        )
    assert isinstance(done, TooFewPrompts)
    assert said(done) == "no prompt has a target: there is no ranking of heads"
    assert begun == TooFewPrompts(1, 60, 0)
    assert new == TooFewPrompts(0, 60, 0)


def test_another_run_is_refused(tmp_path: Path) -> None:
    """With the name that was meant."""
    made_up(tmp_path, n_done=1, n_planned=1)
    with (
        open_store(tmp_path) as store,
        pytest.raises(StoreError, match="did you mean tiny"),
    ):
        ranking_certainty(store, "tinny")


def test_more_heads_asked_for_than_there_are(tmp_path: Path) -> None:
    """All of them stay, whatever comes."""
    made_up(tmp_path, n_done=50, n_planned=600)
    now = found(tmp_path)
    assert (len(now.heads), now.expected_to_stay, now.least_to_stay) == (6, 6.0, 6)


@pytest.mark.parametrize("n_done", [40, 150, 360])
def test_intervals_cover_the_final_means(n_done: int) -> None:
    """19 of 20, in 50 corpora of 400 prompts, with 40 heads of normal contributions."""
    chance = np.random.default_rng(n_done)
    covered = []
    for _ in range(50):
        t = chance.integers(1, 4, 400)
        x = chance.normal(0.1, 0.05, (400, 40)) * t[:, None]
        x += chance.normal(0, 0.03, (400, 1))  # what moves all heads of a prompt
        mean = x[:n_done].sum(axis=0) / t[:n_done].sum()
        drawn = drawn_deviations(
            x[:n_done], t[:n_done], n_prompts=n_done, resamples=1000, chance=chance
        )
        low, high = interval(mean, drawn, share_done=n_done / 400)
        final = x.sum(axis=0) / t.sum()
        covered.append(((low <= final) & (final <= high)).mean())
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize("n_done", [40, 300])
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3, 1.0])
def test_as_many_heads_stay_as_was_said(n_done: int, spread: float) -> None:
    """Where heads differ much, and where they are equal and the first are so by luck.

    In 40 corpora of 600 prompts, of 144 heads, skewed and correlated contributions.
    """
    chance = np.random.default_rng([n_done, int(spread * 10)])
    stayed, expected, least = np.empty((3, 40))
    for world in range(40):
        true = 0.02 * np.exp(chance.normal(0, spread, 144))
        x = true * chance.gamma(1, 1, (600, 144)) * chance.gamma(4, 0.25, (600, 1))
        mean = x[:n_done].mean(axis=0)
        drawn = drawn_deviations(
            x[:n_done],
            np.ones(n_done, int),
            n_prompts=n_done,
            resamples=200,
            chance=chance,
        )
        final = final_means(mean, drawn, share_done=n_done / 600)
        staying = n_staying(mean, final, 20)
        expected[world] = staying.mean()
        least[world] = np.quantile(staying, 0.025, method="lower")
        stayed[world] = n_staying(mean, x.mean(axis=0)[None], 20)[0]
    assert (stayed >= least).mean() >= 0.925
    assert stayed.mean() - 2.5 < expected.mean() < stayed.mean() + 2.5


def test_without_luck_the_rest_of_the_corpus_is_all_that_counts() -> None:
    """Heads that differ by far more than chance move by sqrt(1 - f) of a deviation."""
    mean = np.array([1e6, 5.0, 0.0])
    deviations = np.random.default_rng(0).normal(0, 1, (100, 3))
    final = final_means(mean, deviations, share_done=0.75)
    assert final - mean == pytest.approx(deviations / 2, abs=1e-6)


def test_equal_heads_keep_their_order() -> None:
    """Without a deviation nothing changes places, not even what is equal."""
    mean = np.tile([0.0, 0.5], 100)
    assert first(mean, 150).tolist() == [*range(1, 200, 2), *range(0, 100, 2)]
    final = final_means(mean, np.zeros((2, 200)), share_done=0.5)
    assert n_staying(mean, final, 150).tolist() == [150, 150]


def test_one_head_is_said_as_one() -> None:
    """And a mean has the digits that are certain."""
    head = RankedHead(layer=0, head=7, mean=0.4567, low=0.43, high=0.49)
    assert said(RankingCertainty(50, 100, (head,), 0.96, 1)) == (
        "the head that ranks first: 96% sure (layer 0 head 7, 0.46 ± 0.03)"
    )
    certain = RankedHead(layer=0, head=7, mean=0.4567, low=0.4567, high=0.4567)
    assert said(RankingCertainty(100, 100, (certain, certain), 2.0, 2)) == (
        "the 2 heads that rank first: certain, for all prompts are done "
        "(first: layer 0 head 7, 0.457)"
    )
