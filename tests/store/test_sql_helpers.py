"""Every helper gives what pandas gives on the rows of a real store of two models."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flowglass.store import Store, open_store
from flowglass.store.sql_helpers import HELPERS

GROUP = ["run_id", "dataset", "category"]
PART = ["layer", "component", "index"]
TARGET = ["run_id", "prompt_id", "target"]
ARGUMENTS = {"head_prompts": "(1, 2)"}


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    with open_store(real_store) as opened:
        yield opened


def called(name: str) -> str:
    """A call of the helper with the fewest arguments."""
    return name + ARGUMENTS.get(name, "()" if HELPERS[name].parameters else "")


def frame(store: Store, source: str) -> pd.DataFrame:
    return store.sql(f"from {source}").df()


def same(
    found: pd.DataFrame, due: pd.DataFrame, keys: list[str], *, atol: float = 1e-9
) -> None:
    """The columns of `due`, as the helper has them, row by row."""
    assert len(due)
    found = found[due.columns.tolist()].sort_values(keys).reset_index(drop=True)
    due = due.sort_values(keys).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, due, check_dtype=False, rtol=1e-9, atol=atol)


def every_component(store: Store, of: pd.DataFrame) -> pd.DataFrame:
    """Each row of `of`, which has a run_id, once for each component of that run."""
    parts = [
        {"run_id": run.run_id, "layer": layer, "component": component, "index": index}
        for run in frame(store, "runs").itertuples()
        for layer in range(run.n_layers)
        for component, n in (("head", run.n_heads), ("ffn", 1))
        for index in range(n)
    ]
    return of.merge(pd.DataFrame(parts), on="run_id")


def importance_of_targets(store: Store, tau: float) -> pd.DataFrame:
    """A row for every target and component: its group, contribution, in_route."""
    targets = frame(store, "targets")[TARGET]
    prompts = frame(store, "prompts")[["run_id", "prompt_id", "dataset", "category"]]
    rows = every_component(store, targets.merge(prompts))
    rows = rows.merge(frame(store, "importance"), how="left", on=[*TARGET, *PART])
    rows["in_route"] = rows["survives_at"] > tau  # NaN, in no route, is not above
    return rows.fillna({"contribution": 0.0})


@pytest.mark.parametrize("name", HELPERS)
def test_every_column_is_documented(store: Store, name: str) -> None:
    """A helper has rows, and a sentence for itself and each column."""
    relation = store.sql(f"from {called(name)} limit 1")
    assert len(relation.fetchall()) == 1
    assert HELPERS[name].doc.endswith(".")
    for column in relation.columns:
        assert HELPERS[name].column_doc(column)
    assert set(HELPERS[name].columns) <= set(relation.columns)


@pytest.mark.parametrize("name", HELPERS)
def test_the_tables_that_a_helper_reads_are_said(name: str) -> None:
    """So that who runs it elsewhere knows which tables to have there."""
    query = HELPERS[name].query
    read = set(re.findall(r"(?<!DISTINCT )(?:FROM|JOIN) ([a-z_]+)", query))
    made_on_the_way = set(re.findall(r"([a-z_]+) AS \(\s*SELECT", query))
    assert read - made_on_the_way == set(HELPERS[name].reads)


def test_helpers_lists_the_helpers(store: Store) -> None:
    """`from helpers` says how each is called and what it is for."""
    listed = store.sql("select call, doc from helpers").fetchall()
    assert listed == [(h.call, h.doc) for h in HELPERS.values()]


def test_helpers_work_in_a_sandbox(real_store: Path) -> None:
    """Without files, network or settings."""
    with open_store(real_store) as opened, opened.sandbox() as sandbox:
        for name in HELPERS:
            assert sandbox.query(f"from {called(name)}", limit=1).table.num_rows


@pytest.mark.parametrize("tau", [0.01, 0.04, 0.3])
def test_activation_frequency(store: Store, tau: float) -> None:
    """Targets whose route holds the component over all targets of the run."""
    by_run = importance_of_targets(store, tau).groupby(["run_id", *PART])["in_route"]
    due = by_run.agg(n_targets="size", n_in_route="sum", frequency="mean")
    assert (due["n_in_route"] == 0).any() or tau < 0.3
    keys = ["run_id", *PART]
    same(frame(store, f"activation_frequency({tau})"), due.reset_index(), keys)


@pytest.mark.parametrize("tau", [0.01, 0.04, 0.3])
def test_activation_frequency_by_category(store: Store, tau: float) -> None:
    """The same within a dataset and category."""
    rows = importance_of_targets(store, tau).groupby([*GROUP, *PART])["in_route"]
    due = rows.agg(n_targets="size", n_in_route="sum", frequency="mean").reset_index()
    found = frame(store, f"activation_frequency_by_category({tau})")
    same(found, due, [*GROUP, *PART])


def test_tau_is_that_of_the_default_route_unless_given(store: Store) -> None:
    """As everywhere else, 0.04."""
    for name in ("activation_frequency", "activation_frequency_by_category"):
        same(frame(store, f"{name}()"), frame(store, f"{name}(0.04)"), GROUP[:1] + PART)


def test_importance_by_category(store: Store) -> None:
    """Mean, deviation and maximum over all targets, zeros too; and four frequencies."""
    keys = [*GROUP, *PART]
    rows = importance_of_targets(store, 0.08).groupby(keys)
    due = rows["contribution"].agg(
        n_targets="size",
        mean_contribution="mean",
        deviation=lambda values: np.std(values.to_numpy()),
        max_contribution="max",
    )
    due["frequency_008"] = rows["in_route"].mean()
    for tau in ("001", "002", "004"):
        rows = importance_of_targets(store, int(tau) / 100).groupby(keys)
        due[f"frequency_{tau}"] = rows["in_route"].mean()
    # A deviation of 0 is the root of a rounding error.
    found = frame(store, "importance_by_category")
    same(found, due.reset_index(), keys, atol=1e-6)


def test_shares_by_layer(store: Store) -> None:
    """Means over positions, of which three sum to 1."""
    shares = ["resid", "attn", "ffn", "bias", "below_cutoff"]
    keys = ["run_id", "layer", "step"]
    rows = frame(store, "steps").astype(dict.fromkeys(shares, float)).groupby(keys)
    due = rows[shares].mean()
    due["n_steps"] = rows.size()
    found = frame(store, "shares_by_layer")
    same(found, due.reset_index(), keys)
    assert found[["resid", "attn", "ffn"]].sum(axis=1).to_numpy() == pytest.approx(
        1, abs=4e-3
    )


def test_source_positions(store: Store) -> None:
    """A head's contribution by how far back it reads, and the share of its own sum."""
    edges = frame(store, "edges").query("kind == 'attn'")
    edges["relative_position"] = edges["key"] - edges["query"]
    edges["attention"] = edges["attention"].astype(float)
    head = ["run_id", "layer", "head"]
    rows = edges.groupby([*head, "relative_position"])
    due = rows["contribution"].agg(n_edges="size", contribution="sum")
    due["share"] = due["contribution"] / edges.groupby(head)["contribution"].sum()
    due["mean_attention"] = rows["attention"].mean()
    keys = [*head, "relative_position"]
    same(frame(store, "source_positions"), due.reset_index(), keys)


def test_head_prompts(store: Store) -> None:
    """A run's prompts by what the head brings, the most first."""
    heads = frame(store, "heads").query("layer == 1 and head == 2")
    heads = heads.sort_values(["contribution", "prompt_id"], ascending=[False, True])
    found = frame(store, "head_prompts(1, 2, 5)")
    for run_id, rows in heads.groupby("run_id"):
        best = found[found["run_id"] == run_id]
        assert best["prompt_id"].tolist() == rows["prompt_id"].head(5).tolist()
        assert best["contribution"].tolist() == rows["contribution"].head(5).tolist()
    texts = frame(store, "prompts").set_index(["run_id", "prompt_id"])["text"]
    assert all(
        texts[row.run_id, row.prompt_id] == row.text for row in found.itertuples()
    )


def test_edge_tokens(store: Store) -> None:
    """Every edge once, with the tokens of both positions."""
    with_tokens(store, frame(store, "edge_tokens"), frame(store, "edges"))


@pytest.mark.parametrize("tau", [0.01, 0.1])
def test_route_tokens(store: Store, tau: float) -> None:
    """Every edge of the route at tau once, with the tokens of both positions."""
    routes = frame(store, "routes").query(f"survives_at > {tau}")
    with_tokens(store, frame(store, f"route_tokens({tau})"), routes)


def with_tokens(store: Store, found: pd.DataFrame, due: pd.DataFrame) -> None:
    keys = due.columns.tolist()
    tokens = frame(store, "tokens")
    tokens = tokens.set_index(["run_id", "prompt_id", "position"])
    for end in ("query", "key"):
        places = pd.MultiIndex.from_frame(due[["run_id", "prompt_id", end]])
        looked_up = tokens.loc[places]
        due = due.assign(
            **{
                f"{end}_token": looked_up["token"].to_numpy(),
                f"{end}_is_special": looked_up["is_special"].to_numpy(),
            }
        )
    same(found, due, keys)
    assert due["key_is_special"].any()
    assert not due["key_is_special"].all()


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
