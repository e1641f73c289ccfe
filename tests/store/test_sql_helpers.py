"""Every helper gives what pandas gives on the rows of a real store of two models."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flowglass.store import Store, open_store
from flowglass.store.sql_helpers import HELPERS

from .helper_frames import GROUP, PART, TARGET, called, frame, same


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    with open_store(real_store) as opened:
        yield opened


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
    keys = {
        "activation_frequency": ["run_id", *PART],
        "activation_frequency_by_category": [*GROUP, *PART],
    }
    for name, by in keys.items():
        same(frame(store, f"{name}()"), frame(store, f"{name}(0.04)"), by)


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
