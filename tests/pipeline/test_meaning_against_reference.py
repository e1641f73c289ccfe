"""What states, writes and neurons say, against the float64 reference: every number."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from flowglass.datasets.catalog import MODELS
from flowglass.pipeline import Trace, trace
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.model import load_model

from . import reference, reference_readout, reference_tables
from .reference_forward import Forward, forward
from .tiny_models import TINY_MODELS, random_tokens
from .top_lists import Array, assert_leads, assert_ranks, grid, where

TEXT = "Mary and Leon met. Leon gave it to"
ANSWER, DISTRACTOR = " Mary", " Leon"
EVERYTHING: dict[str, Any] = {
    "cutoff": 0,
    "precision": "full",
    "neurons": 10**6,  # more than any of these models has
    "project": "all",
}


class Traced(NamedTuple):
    """What the product and the reference say of one prompt."""

    trace: Trace
    forward: Forward
    own_logits: torch.Tensor  # i v, of the model itself
    stakes: dict[tuple[int, str], int]  # (target, answer or distractor) -> token


@pytest.fixture(scope="module", params=[*sorted(TINY_MODELS), *sorted(MODELS)])
def traced(request: pytest.FixtureRequest) -> Traced:
    """A model of random weights, or a bundled one on a real prompt; all is stored."""
    model: Any
    ids: tuple[int, ...]
    stakes: dict[tuple[int, str], int]
    asked: dict[str, Any]
    if request.param in TINY_MODELS:
        model = TINY_MODELS[request.param]()
        ids, stakes = random_tokens(9, seed=len(request.param)), {}
        found = trace(model, ids, targets="all", **EVERYTHING)
    else:
        model = load_model(request.param).module
        tokenizer = load_tokenizer(request.param)
        ids, stakes = with_stakes(tokenizer)
        asked = {"targets": "answer", "answer": ANSWER, "distractor": DISTRACTOR}
        found = trace(model, TEXT, tokenizer=tokenizer, **asked, **EVERYTHING)
        assert found.tokens["token_id"].to_pylist() == list(ids)
    with torch.inference_mode():
        own_logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    return Traced(found, forward(model, ids), own_logits, stakes)


def with_stakes(
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[tuple[int, ...], dict[tuple[int, str], int]]:
    """The prompt with its answer but for the last token, and what is due where.

    A target has a distractor while the distractor began as the answer did.
    """
    text, answer, distractor = (
        tokenizer(part, add_special_tokens=False)["input_ids"]
        for part in (TEXT, ANSWER, DISTRACTOR)
    )
    assert len(answer) > 1
    assert answer[0] != distractor[0]
    ids = (tokenizer.bos_token_id, *text, *answer[:-1])
    last = len(text)
    stakes = {(last + nth, "answer"): token for nth, token in enumerate(answer)}
    return ids, stakes | {(last, "distractor"): distractor[0]}


# --- the logit lens (2.6) -------------------------------------------------------------


def test_lens_agrees(traced: Traced) -> None:
    """The ten likeliest tokens of every state, their logits and probabilities."""
    by_state = reference_readout.lens_logits(traced.forward)

    assert traced.trace.lens.num_rows == 10 * sum(len(x) for x in by_state.values())
    for (layer, state), logits in by_state.items():
        rows = where(traced.trace.lens, layer=layer, state=state)
        ids = grid(rows, "token_id", "position", "rank")
        assert_leads(ids, logits)
        for column, due in (("logit", logits), ("prob", logits.softmax(-1))):
            np.testing.assert_allclose(
                grid(rows, column, "position", "rank"),
                np.take_along_axis(due.numpy(), ids.astype(int), -1),
                rtol=0,
                atol=1e-4,
            )


def test_rank_before_is_that_of_a_full_sort(traced: Traced) -> None:
    """Each lens token's rank at the state before in the stream; null at the first."""
    before = None
    for (layer, state), logits in reference_readout.lens_logits(traced.forward).items():
        rows = where(traced.trace.lens, layer=layer, state=state)
        if before is None:
            assert rows["rank_before"].null_count == rows.num_rows
        else:
            ids = grid(rows, "token_id", "position", "rank")
            assert_ranks(grid(rows, "rank_before", "position", "rank"), ids, before)
        before = logits


# --- promoted and suppressed tokens (2.7) ---------------------------------------------


@pytest.mark.parametrize("component", ["attn", "ffn", "head", "neuron"])
def test_writes_agree(traced: Traced, component: str) -> None:
    """The ten tokens that every write promotes most, and those it suppresses most."""
    scores = scores_of_writes(traced.forward, component)

    rows = where(traced.trace.writes, component=component)

    axes = ("layer", "index", "position", "rank")
    for sign in (+1, -1):
        of_sign = where(rows, sign=sign)
        ids = grid(of_sign, "token_id", *axes)
        assert_leads(ids, sign * scores)
        np.testing.assert_allclose(
            grid(of_sign, "score", *axes),
            np.take_along_axis(scores, ids.astype(int), -1),
            rtol=0,
            atol=1e-4,
        )


def scores_of_writes(run: Forward, component: str) -> Array:
    """The reference's scores of every write of a component [layer index position v]."""
    by_position = []
    for position in range(len(run.token_ids)):
        writes = reference_readout.writes(run, position)
        n_units = 1 + max(index for _, of, index in writes if of == component)
        vectors = [
            torch.stack([writes[layer, component, index] for index in range(n_units)])
            for layer in range(len(run.layers))
        ]
        scores = reference_readout.scores(run, position, torch.stack(vectors))
        by_position.append(scores.numpy())
    return np.stack(by_position, axis=2)


def test_no_model_here_has_experts(traced: Traced) -> None:
    """`expert` is null in every row of a model without experts."""
    t = traced.trace
    for table in (t.writes, t.neurons, t.logit_attribution, t.neuron_vocab):
        assert table["expert"].null_count == table.num_rows > 0


# --- neurons (2.5) --------------------------------------------------------------------


def test_neurons_agree(traced: Traced) -> None:
    """Every neuron of every position: the order, the contribution, the activation."""
    run, rows = traced.forward, traced.trace.neurons
    activation = np.stack([layer.activation.numpy() for layer in run.layers])
    contribution = np.zeros_like(activation)  # layer position neuron
    for at, parts in reference.contributions(run).items():
        for part, value in parts.items():
            if part.kind == "neuron":
                contribution[at.layer, at.query, part.unit] = value

    axes = ("layer", "position", "rank")
    neuron = grid(rows, "neuron", *axes)

    assert_leads(neuron, contribution)
    for column, full in (("contribution", contribution), ("activation", activation)):
        due = np.take_along_axis(full, neuron.astype(int), -1)
        found = grid(rows, column, *axes)
        np.testing.assert_allclose(found, due, rtol=1e-5, atol=1e-5)


def test_neurons_are_cut_off_and_rounded() -> None:
    """By default the 16 that lead, of those whose rounded value reaches the cutoff."""
    model, ids = TINY_MODELS["llama"](), random_tokens(12, seed=4)
    run = forward(model, ids)
    due = reference_tables.neurons(
        run, reference.contributions(run), stored=reference_tables.rounded
    )

    rows = trace(model, ids).neurons.to_pylist()

    assert 0 < max(rank for _, _, rank in due) <= 15
    found = {(r["layer"], r["position"], r["rank"]): r for r in rows}
    assert found.keys() == due.keys()
    for at, (neuron, contribution, activation) in due.items():
        assert found[at]["neuron"] == neuron
        # A value near a rounding boundary may fall to either side of it.
        assert found[at]["contribution"] == pytest.approx(contribution, rel=2**-7)
        assert found[at]["activation"] == pytest.approx(activation, rel=2**-7)


def test_neuron_vocab_agrees(traced: Traced) -> None:
    """What each neuron's weights promote and suppress, without any prompt."""
    parameters = traced.forward.parameters
    scores = np.stack(
        [
            np.stack(
                [
                    reference_readout.neuron_vocab(parameters, layer, n).numpy()
                    for n in range(len(block.w_down))
                ]
            )
            for layer, block in enumerate(parameters.blocks)
        ]
    )
    axes = ("layer", "neuron", "rank")
    for sign in (+1, -1):
        rows = where(traced.trace.neuron_vocab, sign=sign)
        ids = grid(rows, "token_id", *axes)
        assert_leads(ids, sign * scores)
        np.testing.assert_allclose(
            grid(rows, "score", *axes),
            np.take_along_axis(scores, ids.astype(int), -1),
            rtol=0,
            atol=1e-4,
        )


# --- direct logit attribution (2.7) ---------------------------------------------------


def attributions(traced: Traced) -> Iterator[tuple[int, str, int, pa.Table]]:
    """(target, role, token, rows) of everything that is attributed."""
    table = traced.trace.logit_attribution
    for target in traced.trace.targets["target"].to_pylist():
        for role in ("predicted", "answer", "distractor"):
            rows = where(table, target=target, role=role)
            if rows.num_rows:
                (token,) = set(rows["token_id"].to_pylist())
                yield target, role, token, rows


def test_roles_are_those_that_the_target_has(traced: Traced) -> None:
    """The predicted token at every target; answer and distractor where one is due."""
    found = {(target, role): token for target, role, token, _ in attributions(traced)}

    targets = {target for target, _ in found}

    predicted = traced.forward.logits.argmax(-1).tolist()
    due = {(target, "predicted"): predicted[target] for target in targets}
    assert found == due | traced.stakes


def test_logit_attribution_agrees(traced: Traced) -> None:
    """Each component's value for each token that is asked about, and no other row."""
    for target, _, token, rows in attributions(traced):
        due = reference_readout.logit_attribution(traced.forward, target, token)
        found = {
            (r["layer"], r["component"], r["index"]): r["value"]
            for r in rows.to_pylist()
        }
        assert len(found) == rows.num_rows
        assert found == pytest.approx(due, abs=1e-4)


def test_all_but_the_neurons_add_up_to_the_logit(traced: Traced) -> None:
    """Embedding, heads, FFNs and biases sum to the model's own logit."""
    for target, _, token, rows in attributions(traced):
        values = [
            row["value"] for row in rows.to_pylist() if row["component"] != "neuron"
        ]
        own = float(traced.own_logits[target, token])
        assert sum(values) == pytest.approx(own, rel=1e-4)
