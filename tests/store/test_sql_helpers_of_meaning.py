"""Helpers about what components say give what pandas gives on a real store's rows."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from flowglass.store import Store, open_store

from .helper_frames import GROUP, PART, TARGET, frame, same


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    with open_store(real_store) as opened:
        yield opened


def test_attribution_by_category(store: Store) -> None:
    """Means over targets by role, and of the difference where there are both."""
    rows = frame(store, "logit_attribution").query("component != 'neuron'")
    rows["value"] = rows["value"].astype(float)
    wide = rows.pivot_table("value", [*TARGET, *PART], "role").reset_index()
    wide = wide.merge(frame(store, "prompts")[["prompt_id", *GROUP]])
    wide["answer_over_distractor"] = wide["answer"] - wide["distractor"]
    groups = wide.groupby([*GROUP, *PART])
    roles = ["predicted", "answer", "distractor", "answer_over_distractor"]
    due = groups[roles].mean()
    due["n_targets"] = groups.size()
    due["n_pairs"] = groups["answer_over_distractor"].count()
    assert due["n_pairs"].max() > 0
    assert (due["n_pairs"] < due["n_targets"]).any()
    found = frame(store, "attribution_by_category")
    same(found, due.reset_index(), [*GROUP, *PART])


def test_attributions_add_up_to_the_logit(store: Store) -> None:
    """Summed over components they are the mean logit that the lens gives at the end."""
    summed = frame(store, "attribution_by_category").groupby(GROUP)["predicted"].sum()
    lens = frame(store, "lens").query("layer == 3 and state == 'post' and rank == 0")
    lens = lens.rename(columns={"position": "target"})
    rows = frame(store, "targets")[TARGET].merge(lens, on=TARGET)
    rows = rows.merge(frame(store, "prompts")[["prompt_id", *GROUP]])
    due = rows.groupby(GROUP)["logit"].mean()
    pd.testing.assert_series_equal(
        summed, due, check_names=False, check_dtype=False, rtol=1e-3, atol=1e-3
    )


def test_lens_trajectory(store: Store) -> None:
    """A token's row of a state; below the top, the rank that the next state recalls."""
    lens = {
        (*key, row.token_id): row
        for key, rows in frame(store, "lens").groupby(
            ["run_id", "prompt_id", "position", "layer", "state"]
        )
        for row in rows.itertuples()
    }
    followed = 0
    for row in frame(store, "lens_trajectory").itertuples():
        place = (row.run_id, row.prompt_id, row.target)
        own = lens.get((*place, row.layer, row.state, row.token_id))
        up = (row.layer, "post") if row.state == "mid" else (row.layer + 1, "mid")
        above = lens.get((*place, *up, row.token_id))
        if own is not None:
            assert (row.rank, row.logit, row.prob) == (own.rank, own.logit, own.prob)
        elif above is not None:
            assert row.rank == above.rank_before > 9
            assert pd.isna(row.prob)
            followed += 1
        else:
            assert pd.isna(row.rank)
    assert followed > 0


def test_lens_trajectory_ends_at_the_prediction(store: Store) -> None:
    """In the last state the prediction is first, the answer where `targets` says."""
    rows = frame(store, "lens_trajectory").query("layer == 3 and state == 'post'")
    rows = rows.merge(frame(store, "targets"), on=TARGET)
    predicted = rows.query("role == 'predicted'")
    assert len(predicted) == len(frame(store, "targets"))
    assert (predicted["rank"] == 0).all()
    answers = rows.query("role == 'answer' and answer_rank < 10")
    assert (answers["rank"] == answers["answer_rank"]).all()
    assert answers["prob"].to_numpy() == pytest.approx(answers["answer_prob"], rel=1e-4)


def test_accuracy(store: Store) -> None:
    """By target, by prompt, and against the distractor."""
    rows = frame(store, "targets").merge(frame(store, "prompts")[["prompt_id", *GROUP]])
    rows = rows.astype({"correct": float, "answer_prob": float})
    assert rows["correct"].min() == 0
    groups = rows.groupby(GROUP)
    due = groups.agg(
        n_prompts=("prompt_id", "nunique"),
        n_targets=("target", "size"),
        accuracy=("correct", "mean"),
        mean_answer_rank=("answer_rank", "mean"),
        mean_answer_prob=("answer_prob", "mean"),
    )
    by_prompt = rows.groupby([*GROUP, "prompt_id"])["correct"].min()
    due["prompt_accuracy"] = by_prompt.groupby(GROUP).mean()
    pairs = rows.dropna(subset="distractor_prob")
    wins = (pairs["answer_prob"] > pairs["distractor_prob"]).astype(float)
    due["prefers_answer"] = wins.groupby([pairs[key] for key in GROUP]).mean()
    same(frame(store, "accuracy"), due.reset_index(), GROUP)


def test_neuron_activity(store: Store) -> None:
    """Counts, means and maxima over the positions where a neuron is among the top."""
    keys = ["run_id", "layer", "neuron"]
    rows = frame(store, "neurons").astype({"activation": float}).groupby(keys)
    due = rows.agg(
        n_positions=("rank", "size"),
        mean_contribution=("contribution", "mean"),
        max_contribution=("contribution", "max"),
        mean_activation=("activation", "mean"),
        max_activation=("activation", "max"),
    ).reset_index()
    n_tokens = frame(store, "tokens").groupby("run_id").size()
    due["frequency"] = due["n_positions"] / due["run_id"].map(n_tokens)
    same(frame(store, "neuron_activity"), due, keys)
