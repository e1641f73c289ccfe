"""What is known of one neuron, against counting over a real sweep; experts by hand."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowglass.store import Store, open_store
from flowglass.store import neuron_queries as ask

from .builders import make_plan, prompt
from .counted import Row, around, rows, tokens_by_prompt
from .hand_made import write

RUN = "llama"


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    """18 prompts of three tasks; of each layer and position the top 16 neurons."""
    with open_store(real_store) as opened:
        yield opened


@pytest.fixture(scope="module")
def neuron(store: Store) -> dict[str, int]:
    """The neuron that is stored at the second most positions of layer 2: not at all."""
    found = store.sql(
        "SELECT neuron FROM neurons WHERE run_id = 'llama' AND layer = 2 "
        "GROUP BY neuron ORDER BY count(*) DESC, neuron LIMIT 1 OFFSET 1"
    ).fetchall()
    return {"layer": 2, "neuron": found[0][0]}


def test_a_summary_says_where_it_is_stored(
    store: Store, neuron: dict[str, int]
) -> None:
    """So many of all tokens; the means are over those alone."""
    mine = rows(store, RUN, "neurons", **neuron)
    tokens = rows(store, RUN, "tokens")
    (row,) = ask.summary(store, RUN, **neuron).to_pylist()
    activations = [r["activation"] for r in mine]
    assert 10 < row["n_positions"] == len(mine) < row["n_tokens"] == len(tokens)
    assert row["n_prompts"] == len({r["prompt_id"] for r in mine})
    assert row["frequency"] == pytest.approx(len(mine) / len(tokens))
    assert row["mean_contribution"] == pytest.approx(
        np.mean([r["contribution"] for r in mine])
    )
    assert row["mean_activation"] == pytest.approx(np.mean(activations))
    assert (row["min_activation"], row["max_activation"]) == (
        min(activations),
        max(activations),
    )


@pytest.mark.parametrize(
    ("by", "column", "sign"),
    [
        ("contribution", "contribution", 1),
        ("highest", "activation", 1),
        ("lowest", "activation", -1),
    ],
)
def test_examples_come_with_its_activations_around(
    store: Store, neuron: dict[str, int], by: Any, column: str, sign: int
) -> None:
    """The best position of each prompt; null where the neuron is not stored."""
    found = ask.examples(store, RUN, **neuron, by=by, n=4, around=3).to_pylist()
    mine = rows(store, RUN, "neurons", **neuron)
    best: dict[int, Row] = {}
    for row in sorted(mine, key=lambda r: (-sign * r[column], r["position"])):
        best.setdefault(row["prompt_id"], row)
    order = sorted(best, key=lambda id: (-sign * best[id][column], id))
    stored = {(r["prompt_id"], r["position"]): r["activation"] for r in mine}
    tokens = tokens_by_prompt(store, RUN)
    assert [row["prompt_id"] for row in found] == order[:4]
    for row in found:
        id = row["prompt_id"]
        near = around(tokens[id], [row["position"]], 3)
        assert row["position"] == best[id]["position"]
        assert row["positions"] == [t["position"] for t in near]
        assert row["tokens"] == [t["token"] for t in near]
        assert row["activations"] == [stored.get((id, t["position"])) for t in near]


def test_a_histogram_counts_every_stored_position_once(
    store: Store, neuron: dict[str, int]
) -> None:
    """As numpy's, the highest in the last bin."""
    found = ask.activation_histogram(store, RUN, **neuron, bins=7)
    mine = [r["activation"] for r in rows(store, RUN, "neurons", **neuron)]
    counts, ends = np.histogram(mine, bins=7)
    assert found["n_positions"].to_pylist() == counts.tolist()
    assert found["low"].to_pylist() == pytest.approx(ends[:-1])
    assert found["high"].to_pylist() == pytest.approx(ends[1:])


def test_categories_count_tokens_where_it_is_not_stored(
    store: Store, neuron: dict[str, int]
) -> None:
    """The mean is over all tokens of the category; the stored ones are counted too."""
    of = {r["prompt_id"]: r for r in rows(store, RUN, "prompts")}
    n_tokens: dict[Any, int] = defaultdict(int)
    for row in of.values():
        n_tokens[row["dataset"], row["category"]] += row["n_tokens"]
    mine = defaultdict(list)
    for row in rows(store, RUN, "neurons", **neuron):
        prompt = of[row["prompt_id"]]
        mine[prompt["dataset"], prompt["category"]].append(row["contribution"])
    found = ask.importance_by_category(store, RUN, **neuron).to_pylist()
    assert [(row["dataset"], row["category"]) for row in found] == sorted(n_tokens)
    for row in found:
        group = row["dataset"], row["category"]
        assert row["n_tokens"] == n_tokens[group]
        assert row["n_positions"] == len(mine[group])
        assert row["frequency"] == pytest.approx(len(mine[group]) / n_tokens[group])
        assert row["mean"] == pytest.approx(sum(mine[group]) / n_tokens[group])


def test_a_neuron_of_an_expert_is_no_other_experts(tmp_path: Path) -> None:
    """Neuron 5 of experts 0 and 1 and of none; one activation fills the first bin."""

    def active(expert: int | None, activation: float) -> Row:
        of = {"layer": 0, "position": 1, "rank": 0, "neuron": 5, "contribution": 0.5}
        return {"prompt_id": 0, "expert": expert, "activation": activation, **of}

    some = [active(None, 1.0), active(0, 2.0), active(1, 3.0)]
    neurons = [{**row, "rank": rank} for rank, row in enumerate(some)]
    write(tmp_path, make_plan("r", n_shards=1), prompts=[prompt(0)], neurons=neurons)
    with open_store(tmp_path) as store:
        for expert, activation in ((None, 1.0), (0, 2.0), (1, 3.0)):
            at: Any = {"layer": 0, "neuron": 5, "expert": expert}
            (row,) = ask.summary(store, "r", **at).to_pylist()
            assert (row["n_positions"], row["max_activation"]) == (1, activation)
            (row,) = ask.examples(store, "r", **at).to_pylist()
            assert row["activation"] == activation
            bins = ask.activation_histogram(store, "r", **at, bins=3).to_pylist()
            assert [b["n_positions"] for b in bins] == [1, 0, 0]
            (row,) = ask.importance_by_category(store, "r", **at).to_pylist()
            assert row["mean"] == pytest.approx(0.5 / 3)  # of three tokens


def test_the_strongest_of_a_layer_contribute_most(store: Store) -> None:
    """Each with its share of what all contribute; the interval is by prompt."""
    mine = rows(store, RUN, "neurons", layer=2)
    n_tokens = len(rows(store, RUN, "tokens"))
    of: dict[int, list[Row]] = defaultdict(list)
    whole: dict[int, float] = defaultdict(float)
    for row in mine:
        of[row["neuron"]].append(row)
        whole[row["prompt_id"]] += row["contribution"]
    total = {n: sum(r["contribution"] for r in some) for n, some in of.items()}
    found = ask.strongest(store, RUN, layer=2, n=5).to_pylist()
    assert [r["neuron"] for r in found] == sorted(of, key=lambda n: (-total[n], n))[:5]
    everything = sum(whole.values())
    for row in found:
        some = of[row["neuron"]]
        assert row["expert"] is None
        assert row["n_positions"] == len(some)
        assert row["n_prompts"] == len({r["prompt_id"] for r in some})
        assert row["n_tokens"] == n_tokens
        assert row["frequency"] == pytest.approx(len(some) / n_tokens)
        assert row["mean_contribution"] == pytest.approx(
            total[row["neuron"]] / len(some)
        )
        share = total[row["neuron"]] / everything
        x: dict[int, float] = defaultdict(float)
        for one in some:
            x[one["prompt_id"]] += one["contribution"]
        off = [x[id] - share * y for id, y in whole.items()]
        half = 2.1098 * np.sqrt(18 / 17 * np.sum(np.square(off))) / everything
        assert row["share"] == pytest.approx(share)
        assert row["low"] == pytest.approx(max(share - half, 0), abs=1e-5)
        assert row["high"] == pytest.approx(share + half, abs=1e-5)


def test_the_strongest_are_of_their_own_expert(tmp_path: Path) -> None:
    """Neuron 5 of expert 0, of expert 1 and of the shared one are three; of equals the
    lower; another layer's are not among them."""

    def active(at: tuple[int, int, int], expert: int, contribution: float) -> Row:
        layer, position, rank = at
        of = {"layer": layer, "position": position, "rank": rank, "neuron": 5}
        known = {"contribution": contribution, "activation": 1.0, "prompt_id": 0}
        return {**of, **known, "expert": expert}

    neurons = [
        active((0, 1, 0), 1, 0.5),
        active((0, 1, 1), -1, 0.25),
        active((0, 2, 0), -1, 0.125),
        active((0, 2, 1), 0, 0.125),
        active((1, 2, 0), 3, 0.5),
    ]
    write(tmp_path, make_plan("r", n_shards=1), prompts=[prompt(0)], neurons=neurons)
    with open_store(tmp_path) as store:
        found = ask.strongest(store, "r", layer=0).to_pylist()
        assert [(r["expert"], r["share"], r["n_positions"]) for r in found] == [
            (1, 0.5, 1),
            (-1, 0.375, 2),
            (0, 0.125, 1),
        ]
        assert {r["neuron"] for r in found} == {5}
        assert {r["low"] for r in found} == {None}  # fewer than ten prompts
        assert ask.strongest(store, "r", layer=0, n=1).num_rows == 1
        assert ask.strongest(store, "r", layer=7).num_rows == 0


def test_a_neuron_that_is_nowhere_stored_has_no_example(store: Store) -> None:
    """And says that it is stored at no position, of so many tokens."""
    none = {"layer": 2, "neuron": 10**6}
    (row,) = ask.summary(store, RUN, **none).to_pylist()
    assert (row["n_positions"], row["frequency"], row["mean_activation"]) == (
        0,
        0,
        None,
    )
    assert row["n_tokens"] > 0
    assert ask.examples(store, RUN, **none).num_rows == 0
    assert ask.activation_histogram(store, RUN, **none).num_rows == 0
    means = ask.importance_by_category(store, RUN, **none)["mean"].to_pylist()
    assert set(means) == {0.0}
