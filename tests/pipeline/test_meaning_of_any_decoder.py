"""What states and writes say in blocks of every kind: two ways to each number agree.

Block writes are read as differences of neighbouring states, heads and neurons through
their weights, attributions as dot products: in a parallel block, behind norms, under
multipliers and in a mixture of experts they must be the same.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from flowglass.pipeline import Trace, trace

from .families import build
from .tiny_models import random_tokens

FAMILIES = (
    "gpt2",
    "gpt_neox",  # parallel, biases
    "cohere",  # parallel, a logit scale
    "gemma2",  # norms behind sublayers, a softcap
    "beam",  # multipliers on stream and writes, gates
    "gemma4_text-moe",  # two banks behind norms of their own, and one more
    "qwen2_moe",  # a shared expert with a gate by token
    "gpt_oss",  # experts with biases, sinks
    "qwen3_next-fullattn",  # gated heads
    "llama4_text",  # an FFN that does not open
)
VOCAB = 61


@pytest.fixture(scope="module", params=FAMILIES)
def traced(request: pytest.FixtureRequest) -> Trace:
    """Every state, write and neuron of a short prompt, with every token."""
    return trace(
        build(request.param),
        random_tokens(7, seed=3, vocab=60),
        targets="all",
        cutoff=0,
        precision="full",
        project="all",
        neurons=10**6,
        top_tokens=VOCAB,
    )


def predicted(t: Trace) -> dict[int, int]:
    """The predicted token at every target."""
    rows = t.targets.to_pylist()
    return {row["target"]: row["predicted_token_id"] for row in rows}


def attributed(t: Trace) -> dict[tuple[Any, ...], float]:
    """(component, layer, expert, index, position) -> share of the predicted logit."""
    return {
        (r["component"], r["layer"], r["expert"], r["index"], r["target"]): r["value"]
        for r in t.logit_attribution.to_pylist()
    }


def written(t: Trace) -> dict[tuple[Any, ...], float]:
    """The same keys -> its score for the token that is predicted there."""
    due = predicted(t)
    return {
        (r["component"], r["layer"], r["expert"], r["index"], r["position"]): r["score"]
        for r in t.writes.to_pylist()
        if r["sign"] == 1 and r["token_id"] == due[r["position"]]
    }


def assert_equal(found: Mapping[Any, float], due: Mapping[Any, float]) -> None:
    size = max(1.0, max(abs(value) for value in due.values()))
    assert found.keys() == due.keys()
    for key, value in due.items():
        assert found[key] == pytest.approx(value, abs=1e-4 * size), key


@pytest.mark.parametrize("component", ["head", "ffn", "neuron"])
def test_a_write_scores_what_it_is_attributed(traced: Trace, component: str) -> None:
    """`writes` and `logit_attribution` say the same of the predicted token."""
    scores, shares = (
        {key: value for key, value in values.items() if key[0] == component}
        for values in (written(traced), attributed(traced))
    )
    if component == "neuron" and traced.model.anatomy.opaque:
        assert not scores
        assert not shares
        return
    assert_equal(scores, shares)


def test_an_attention_block_is_its_heads_and_its_bias(traced: Trace) -> None:
    """Read as a difference of states, it scores what its parts add up to."""
    blocks = {
        (layer, position): score
        for (component, layer, _, _, position), score in written(traced).items()
        if component == "attn"
    }
    sums: dict[tuple[int, int], float] = dict.fromkeys(blocks, 0.0)
    for (component, layer, _, _, position), value in attributed(traced).items():
        if component in ("head", "bias") and (layer, position) in sums:
            sums[layer, position] += value
    assert_equal(blocks, sums)


def test_neurons_are_all_of_the_ffn_but_its_biases(traced: Trace) -> None:
    """Contributions of all neurons, and experts' names where there are experts."""
    rows = traced.neurons.to_pylist()
    kinds = {w.kind for x in traced.model.anatomy.layers for w in x.writers}
    if "experts" not in kinds:
        assert all(row["expert"] is None for row in rows)
        return
    names = {row["expert"] for row in rows}
    shared = any(
        {w.kind for w in layer.writers} >= {"experts", "linear"}
        for layer in traced.model.anatomy.layers
    )
    assert (-1 in names) == shared
    assert {name for name in names if name is not None and name >= 0} <= set(range(8))
    keys = {(r["layer"], r["position"], r["expert"], r["neuron"]) for r in rows}
    assert len(keys) == len(rows)


def test_a_rank_before_is_the_rank_in_the_state_before(traced: Trace) -> None:
    """In a parallel block that is the block before: it has no state in the middle."""
    names = {(r["layer"], r["state"]) for r in traced.lens.to_pylist()}
    middle = {"mid"} if not traced.model.anatomy.parallel else set()
    assert {state for _, state in names} == {"embed", "post"} | middle
    order = sorted(names, key=lambda at: (at[0], ("embed", "mid", "post").index(at[1])))
    ranks: dict[tuple[int, str], np.ndarray] = {}
    before: dict[tuple[int, str], np.ndarray] = {}
    for at in order:
        ranks[at], before[at] = (np.zeros((7, VOCAB), int) for _ in range(2))
    for row in traced.lens.to_pylist():
        at, place = (row["layer"], row["state"]), (row["position"], row["token_id"])
        ranks[at][place] = row["rank"]
        before[at][place] = -1 if row["rank_before"] is None else row["rank_before"]
    assert (before[order[0]] == -1).all()
    for earlier, later in pairwise(order):
        np.testing.assert_array_equal(before[later], ranks[earlier])
