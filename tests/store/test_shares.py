"""layer_shares and corpus_summary: the same as averaging rows by hand."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowglass.store import facets, open_store
from flowglass.store.corpus_summary import corpus_summary
from flowglass.store.facets import TOKEN_CLASS
from flowglass.store.shares import layer_shares
from flowglass.store.store import Store

RUN = "gpt2"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    """Prompts of three tasks."""
    with open_store(real_store) as opened:
        yield opened


def rows(store: Store, table: str) -> list[Row]:
    found = store.table(
        f"SELECT * FROM {table} WHERE run_id = $run_id", {"run_id": RUN}
    )
    return list(found.to_pylist())


def test_shares_equal_averaging_by_hand(store: Store) -> None:
    """Of every dataset: means over positions, errors over prompts."""
    dataset = {row["prompt_id"]: row["dataset"] for row in rows(store, "prompts")}
    x: dict[tuple[Any, ...], dict[int, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows(store, "steps"):
        for part in ("resid", row["step"]):
            key = (dataset[row["prompt_id"]], row["layer"], row["step"], part)
            x[key][row["prompt_id"]].append(row[part])

    found = layer_shares(store, RUN, by="dataset").table.to_pylist()

    assert len(found) == len(x)
    for row in found:
        prompts = x[row["facet"], row["layer"], row["step"], row["part"]]
        n = np.array([len(values) for values in prompts.values()])
        total = np.array([sum(values) for values in prompts.values()])
        share = total.sum() / n.sum()
        assert row["n_positions"] == n.sum()
        assert row["n_prompts"] == len(n)
        assert row["share"] == pytest.approx(share, abs=1e-6)
        assert len(n) == 6
        spread = ((total - share * n) ** 2).sum() * len(n) / (len(n) - 1)
        half = (row["high"] - row["low"]) / 2
        t = 2.571
        assert half == pytest.approx(t * np.sqrt(spread) / n.sum(), rel=0.02, abs=1e-6)


def test_shares_of_a_step_sum_to_one(store: Store) -> None:
    """In every class of tokens, which together are all positions."""
    found = layer_shares(store, RUN, by=TOKEN_CLASS).table.to_pylist()
    sums: dict[tuple[Any, ...], float] = defaultdict(float)
    for row in found:
        sums[row["facet"], row["layer"], row["step"]] += row["share"]
    assert list(sums.values()) == pytest.approx([1.0] * len(sums), abs=5e-3)
    n = {row["facet"]: row["n_positions"] for row in found}
    assert sum(n.values()) == len(rows(store, "tokens"))
    assert n["first position"] == len(rows(store, "prompts"))


def test_a_large_table_is_read_in_part(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompts that are read are read whole."""
    whole = layer_shares(store, RUN).table.to_pylist()
    monkeypatch.setattr(facets, "MOST_ROWS", len(rows(store, "steps")) // 2)
    part = layer_shares(store, RUN).table.to_pylist()
    assert 0 < part[0]["n_prompts"] < whole[0]["n_prompts"]
    assert part[0]["share"] == pytest.approx(whole[0]["share"], abs=0.05)


def test_queries_find_it_again(store: Store) -> None:
    """The SQL that a reader copies, on the views."""
    for answer in (
        layer_shares(store, RUN, by="relation"),
        layer_shares(store, RUN, by=TOKEN_CLASS),
        corpus_summary(store, RUN),
    ):
        again = store.table(answer.sql)
        assert again.num_rows == answer.table.num_rows > 1
        assert again.schema == answer.table.schema


def test_the_summary_equals_counting_by_hand(store: Store) -> None:
    """Of all and of each category: sizes, accuracy, surprisal, closure."""
    prompts = {row["prompt_id"]: row for row in rows(store, "prompts")}
    targets, tokens = rows(store, "targets"), rows(store, "tokens")

    found = corpus_summary(store, RUN).table.to_pylist()

    assert [row["is_all"] for row in found] == [True] + [False] * (len(found) - 1)
    groups = {(p["dataset"], p["category"]) for p in prompts.values()}
    assert {(row["dataset"], row["category"]) for row in found[1:]} == groups
    for row in found:
        inside = {
            i
            for i, p in prompts.items()
            if row["is_all"]
            or (p["dataset"], p["category"]) == (row["dataset"], row["category"])
        }
        correct = [
            t["correct"]
            for t in targets
            if t["prompt_id"] in inside and t["correct"] is not None
        ]
        nats = [
            -t["logprob"]
            for t in tokens
            if t["prompt_id"] in inside and t["logprob"] is not None
        ]
        assert row["n_prompts"] == len(inside)
        assert row["n_tokens"] == sum(prompts[i]["n_tokens"] for i in inside)
        assert row["n_answers"] == len(correct) > 0
        assert row["accuracy"] == pytest.approx(np.mean(correct))
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
        assert row["surprisal"] == pytest.approx(np.mean(nats))
        assert row["closure"] == pytest.approx(
            max(prompts[i]["closure"] for i in inside)
        )
