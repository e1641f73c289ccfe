"""Comparing cohorts of made-up stores: numbers by hand, pairs, notes, refusals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowglass.store import Store, StoreError, cohort_pairs, open_store
from flowglass.store.cohorts import Cohort
from flowglass.store.compare import COLUMNS, about

from .builders import important, make_plan, prompt, target
from .hand_made import Rows, write

N_COMPONENTS = 2 * 4
FEWER = {"resamples": 200, "permutations": 499}
A, B = Cohort("tiny", "category = 'a'"), Cohort("tiny", "category = 'b'")


def tokens_of(ids: range) -> Rows:
    same = {"top_token_id": 1, "top_token": "a", "top_prob": 0.5, "entropy": 1.0}
    return [
        {"prompt_id": i, "position": at, "token_id": at, "token": f" {at}"}
        | {"word": at, "is_special": False, **same}
        for i in ids
        for at in range(3)
    ]


def brought(prompt_id: int, position: int, head: int) -> float:
    """What a head of layer 0 brings: head 1 brings 0.5 more at position 2."""
    chance = np.random.default_rng([prompt_id, position, head])
    return float(chance.integers(1, 65)) / 256 + (
        0.5 if (position, head) == (2, 1) else 0
    )


def made_up(
    root: Path, n_prompts: int, run_id: str = "tiny", **other: Any
) -> dict[tuple[int, int, int], float]:
    """Prompts of 1 to 3 targets, of category a (a third) or b; and what heads bring.

    Texts 0 and 1, 2 and 3, ... are the same.
    """
    ids = range(n_prompts)
    targets = [(i, at) for i in ids for at in range(2 - i % 3, 3)]
    contributions = {
        (i, at, head): brought(i, at, head) for i, at in targets for head in (0, 1)
    }
    write(
        root,
        replace(make_plan(run_id, n_shards=1), **other),
        prompts=[
            prompt(i, category="a" if i % 3 == 0 else "b", prompt_hash=f"{i // 2}")
            for i in ids
        ],
        targets=[target(i, at) for i, at in targets],
        tokens=tokens_of(ids),
        importance=[
            important(i, 0, head, contribution=value, survives_at=value)
            | {"target": at}
            for (i, at, head), value in contributions.items()
        ],
    )
    return contributions


def test_means_are_those_of_targets(tmp_path: Path) -> None:
    """Not of prompts; 0 for components in no route; frequency is strictly above tau."""
    brings = made_up(tmp_path, 60)
    ids = {"a": [i for i in range(60) if i % 3 == 0]}
    ids["b"] = [i for i in range(60) if i % 3]
    due = {
        name: [v for (i, _, head), v in brings.items() if i in ids[name] and head == 1]
        for name in "ab"
    }
    with open_store(tmp_path) as store:
        means = store.compare(A, B, **FEWER)
        shares = store.compare(A, B, measure="frequency", tau=0.125, **FEWER)
    assert means.schema.names == [*COLUMNS]
    assert means.num_rows == N_COMPONENTS
    for name in "ab":
        row = means.slice(1, 1).to_pylist()[0]
        assert row[f"n_prompts_{name}"] == len(ids[name])
        assert row[f"n_targets_{name}"] == len(due[name])
        assert row[f"mean_{name}"] == pytest.approx(np.mean(due[name]))
        assert shares[f"mean_{name}"][1].as_py() == pytest.approx(
            np.mean(np.array(due[name]) > 0.125)
        )
        assert means[f"mean_{name}"][4].as_py() == 0
    assert means["component"].to_pylist() == ["head"] * 3 + ["ffn"] + ["head"] * 3 + [
        "ffn"
    ]
    assert means["index"].to_pylist() == [0, 1, 2, 0] * 2


def test_a_component_in_no_route_differs_in_nothing(tmp_path: Path) -> None:
    """Difference and interval are 0, p and q are 1, there is no effect size."""
    made_up(tmp_path, 60)
    with open_store(tmp_path) as store:
        row = store.compare(A, B, **FEWER).to_pylist()[5]
    assert [row[name] for name in ("difference", "low", "high")] == [0, 0, 0]
    assert (row["p"], row["q"], row["effect"]) == (1, 1, None)


def test_positions_of_the_same_prompts_are_paired(tmp_path: Path) -> None:
    """Head 1 brings more at position 2; prompts without another target take part."""
    made_up(tmp_path, 60)
    with open_store(tmp_path) as store:
        found = store.compare(
            Cohort("tiny", "target = 2"), Cohort("tiny", "target < 2"), **FEWER
        )
    assert about(found).kind == "same prompts"
    rows = found.to_pylist()
    assert (rows[1]["n_prompts_a"], rows[1]["n_prompts_b"]) == (60, 40)
    assert rows[1]["low"] < 0.5 < rows[1]["high"]
    assert rows[1]["q"] == pytest.approx(8 / 500)
    assert rows[0]["low"] < 0 < rows[0]["high"]


def test_two_runs_are_paired_by_their_texts(tmp_path: Path) -> None:
    """Equal texts in their order; who has no partner is left out, and counted."""
    made_up(tmp_path, 30)
    made_up(tmp_path, 41, run_id="later", model_hash="another")
    with open_store(tmp_path) as store:
        found = store.compare(Cohort("tiny"), Cohort("later"), **FEWER)
    said = about(found)
    assert said.kind == "two runs"
    assert (said.n_prompts_a, said.n_prompts_b) == (30, 41)
    assert said.notes == (
        "left out, for the other run has no partner: 0 prompts of a, 11 of b",
    )
    rows = found.to_pylist()
    assert (rows[0]["n_prompts_a"], rows[0]["n_prompts_b"]) == (30, 30)
    assert {(row["difference"], row["low"], row["p"]) for row in rows} == {(0, 0, 1)}


def test_too_few_prompts_have_means_and_a_note(tmp_path: Path) -> None:
    """Nine in a: no interval, no effect, no p, no q."""
    made_up(tmp_path, 27)
    with open_store(tmp_path) as store:
        found = store.compare(A, B)
        nobody = store.compare(A, Cohort("tiny", "category = 'c'"))
    assert about(found).notes == (
        "9 prompts to compare in a are too few to tell from chance: that takes 10 in "
        "each",
    )
    for name in ("low", "high", "effect", "p", "q"):
        assert found[name].null_count == N_COMPONENTS
    assert found["difference"].null_count == 0
    assert nobody["mean_a"].null_count == 0
    assert nobody["mean_b"].null_count == N_COMPONENTS
    assert nobody["n_targets_b"].to_pylist() == [0] * N_COMPONENTS


def test_many_prompts_are_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small cohort is kept whole; what was sampled is said."""
    made_up(tmp_path, 90)
    monkeypatch.setattr(cohort_pairs, "MOST_PROMPTS", 50)
    with open_store(tmp_path) as store:
        apart = store.compare(A, B, **FEWER)
        paired = store.compare(
            Cohort("tiny", "target = 2"), Cohort("tiny", "target < 2"), **FEWER
        )
    assert about(apart).notes == (
        "a: a random sample of 25 of 30 prompts",
        "b: a random sample of 25 of 60 prompts",
    )
    assert (about(apart).n_prompts_a, about(apart).n_prompts_b) == (30, 60)
    assert set(apart["n_prompts_a"].to_pylist()) == {25}
    assert about(paired).notes[0] == "a: a random sample of 50 of 90 prompts"
    assert set(paired["n_prompts_a"].to_pylist()) == {50}


def test_what_a_comparison_is_of_comes_with_it(tmp_path: Path) -> None:
    """Also through Parquet, which keeps a table's metadata."""
    import pyarrow.parquet as pq

    made_up(tmp_path, 60)
    with open_store(tmp_path) as store:
        found = store.compare(A, B, resamples=100, seed=7)
    pq.write_table(found, tmp_path / "found.parquet")
    said = about(pq.read_table(tmp_path / "found.parquet"))
    assert said == about(found)
    assert (said.a, said.b, said.measure, said.tau) == (A, B, "contribution", 0.04)
    assert (said.resamples, said.permutations, said.seed) == (100, 1999, 7)


def test_the_same_seed_says_the_same(tmp_path: Path) -> None:
    """Another one, another interval, and the same means."""
    made_up(tmp_path, 60)
    with open_store(tmp_path) as store:
        one, two = (store.compare(A, B, **FEWER) for _ in range(2))
        other = store.compare(A, B, seed=1, **FEWER)
    assert one == two
    assert one["low"] != other["low"]
    assert one["difference"] == other["difference"]


def refused(store: Store, a: Cohort, b: Cohort, **how: Any) -> str:
    with pytest.raises(StoreError) as error:
        store.compare(a, b, **how)
    return str(error.value)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    """In one line that says what to do."""
    made_up(tmp_path, 12)
    made_up(tmp_path, 12, "wide", n_layers=3)
    write(
        tmp_path,
        make_plan("elsewhere", n_shards=1),
        prompts=[prompt(0)],
        targets=[target(0)],
        importance=[important(0, 0, 1)],
    )
    tiny = Cohort("tiny")
    with open_store(tmp_path) as store:
        assert refused(store, tiny, A) == (
            "4 targets are in both cohorts: leave them out of one of them, as in "
            "`not (...)` for the rest"
        )
        assert refused(store, tiny, Cohort("wide")) == (
            "the models of 'tiny' and 'wide' have different shapes: 2 layers of 3 "
            "heads and 3 of 3"
        )
        assert "have no prompt in common" in refused(store, tiny, Cohort("elsewhere"))
        assert "did you mean tiny" in refused(store, A, Cohort("tinny"))
        assert refused(store, A, B, measure="logits") == (
            "no measure 'logits': choose of contribution, frequency, logit"
        )
        assert "stores no logit attribution" in refused(store, A, B, measure="logit")
        assert refused(store, A, B, measure="frequency", tau=0.005) == (
            "routes at tau 0.005 are not known: run 'tiny' stores nothing below its "
            "cutoff 0.01"
        )
