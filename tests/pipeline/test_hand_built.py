"""The hand-built models do what their descriptions say, by the reference."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from . import hand_built, reference, reference_readout
from . import reference_tables as tables
from .hand_built import Known
from .reference import At, Part
from .reference_forward import forward
from .reference_routes import importance, route, survives_at

KNOWN: dict[str, Callable[[], Known]] = {
    "induction": hand_built.induction,
    "copying": hand_built.copying,
    "zero-whole": lambda: hand_built.cancelling(1.0),
    "zero-proximities": lambda: hand_built.cancelling(0.75),
}


@pytest.fixture(scope="module", params=KNOWN)
def known(request: pytest.FixtureRequest) -> Known:
    """A hand-built model with its prompt and its known contributions."""
    make = KNOWN[request.param]
    return make()


def test_hand_built_contributions(known: Known) -> None:
    """Every contribution, bias and neuron is the number worked out on paper."""
    contribs = reference.contributions(forward(known.model, known.token_ids))

    for edge, value in tables.edges(contribs).items():
        assert value == pytest.approx(known.contributions.get(edge, 0), abs=1e-12), edge
    for (layer, step, i), value in known.bias.items():
        found = contribs[At(layer, step, i)][Part("bias", None, i)]
        assert found == pytest.approx(value, abs=1e-12)
    for (layer, i, n), value in known.neurons.items():
        found = contribs[At(layer, "neuron", i)][Part("neuron", n, i)]
        assert found == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hand_built_predictions(dtype: torch.dtype) -> None:
    """Each model predicts at the last position what its description says."""
    for known in (
        hand_built.induction(dtype=dtype),
        hand_built.copying(dtype=dtype),
        hand_built.cancelling(1.0, dtype=dtype),
    ):
        logits = forward(known.model, known.token_ids).logits[-1]
        assert int(logits.argmax()) == known.predicted


def test_parts_that_cancel_leave_everything_to_resid() -> None:
    """Where the whole is exactly 0 in float32 too, 0/0 is resolved, not NaN."""
    known = hand_built.cancelling(1.0, dtype=torch.float32)
    with torch.no_grad():
        states = known.model(
            torch.tensor([known.token_ids]), output_hidden_states=True
        ).hidden_states

    step = reference.attn_step(forward(known.model, known.token_ids).layers[0], 1)

    assert states[1][0, :2].abs().max() == 0
    assert step.whole.abs().max() == 0
    assert reference.contributions_of(step.whole, step.parts) == {
        Part("resid", None, 1): 1.0,
        Part("attn", 0, 0): 0.0,
        Part("attn", 0, 1): 0.0,
        Part("bias", None, 1): 0.0,
    }


def test_induction_route_is_exact() -> None:
    """The route is induction and previous-token heads, and no idle head."""
    known = hand_built.induction()
    run = forward(known.model, known.token_ids)
    edges = tables.edges(reference.contributions(run))
    last = len(known.token_ids) - 1

    found = route(edges, last, n_layers=2, tau=0.04)
    survives = survives_at(edges, last, n_layers=2)

    assert found == known.survives_at.keys()
    for edge, value in known.survives_at.items():
        assert survives[edge] == pytest.approx(value, abs=1e-12)
    for ordered in (edges, dict(reversed(edges.items()))):
        assert importance(ordered, survives, tau=0.04) == {
            (0, "head", 0): pytest.approx((2 / 3, 1 / 3)),
            (1, "head", 1): pytest.approx((1 / 4, 1 / 4)),
        }
    assert not {(edge.layer, edge.head) for edge in found} & {*known.idle_heads}


def test_induction_heads_attend_hard_and_predict_the_induced_token() -> None:
    """The construction does what it says: one key each, and B comes next."""
    known = hand_built.induction()

    run = forward(known.model, known.token_ids)
    heads = tables.heads(reference.contributions(run), known.token_ids)

    assert run.layers[0].attention[0, 4, 3] == pytest.approx(1, abs=1e-12)
    assert run.layers[1].attention[1, 4, 2] == pytest.approx(1, abs=1e-12)
    assert run.layers[0].attention[1, 4, 3] == pytest.approx(1 / 5)  # idle: uniform
    prediction = reference_readout.target(run, 4)
    assert prediction["predicted_token_id"] == known.predicted
    assert prediction["predicted_prob"] == pytest.approx(1, abs=1e-12)
    assert heads[0, 0]["on_previous"] == pytest.approx(4 / 5 / 3)
    assert heads[1, 1]["on_after_same"] > 1 / 5 / 4 - 1e-12
    for idle in known.idle_heads:
        assert heads[idle]["contribution"] == 0


def test_entropy_of_an_even_prediction_is_the_log_of_the_vocabulary() -> None:
    """Where the state cancels to 0 all eight tokens are equally likely."""
    known = hand_built.cancelling(1.0)

    row = reference_readout.tokens(forward(known.model, known.token_ids))[1]

    assert row.entropy == pytest.approx(math.log(8))
    assert row.top_prob == pytest.approx(1 / 8)


def test_induction_head_alone_makes_the_logit() -> None:
    """In the hand-built model only the induction head writes what is read out."""
    known = hand_built.induction()
    run = forward(known.model, known.token_ids)
    assert known.predicted is not None

    rows = reference_readout.logit_attribution(run, 4, known.predicted)

    logit = float(run.logits[4, known.predicted])
    for at, value in rows.items():
        expected = logit if at == (1, "head", 1) else 0
        assert value == pytest.approx(expected, abs=1e-12)
