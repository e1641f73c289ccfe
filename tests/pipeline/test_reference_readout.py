"""What the reference reads through the unembedding, checked on tiny random models."""

from __future__ import annotations

import math

import pytest
import torch

from . import reference, reference_readout
from .reference import Part
from .reference_forward import Forward, forward
from .tiny_models import TINY_MODELS

TOKENS = (7, 3, 7, 9, 3, 7)
LAST = len(TOKENS) - 1


@pytest.fixture(scope="module", params=TINY_MODELS)
def tiny(request: pytest.FixtureRequest) -> Forward:
    """The forward pass of each tiny random model, in float64."""
    return forward(TINY_MODELS[request.param](dtype=torch.float64), TOKENS)


def test_tokens_describe_the_prediction_of_each_token(tiny: Forward) -> None:
    """logprob and rank are of this token given the ones before; null at the start."""
    rows = reference_readout.tokens(tiny)
    nll = torch.nn.functional.cross_entropy(
        tiny.logits[:-1], torch.tensor(TOKENS[1:]), reduction="none"
    )

    assert (rows[0].logprob, rows[0].rank) == (None, None)
    for i in range(1, len(TOKENS)):
        assert rows[i].logprob == pytest.approx(-float(nll[i - 1]))
        order = tiny.logits[i - 1].argsort(descending=True).tolist()
        assert rows[i].rank == order.index(TOKENS[i])
        assert rows[i - 1].top_token_id == order[0]


def test_lens_ends_at_the_models_output(tiny: Forward) -> None:
    """The last state's logits are the model's; ranks refer to the state before."""
    by_state = reference_readout.lens_logits(tiny)
    rows = reference_readout.lens(tiny, k=4)
    n_layers = len(tiny.layers)

    assert torch.equal(by_state[n_layers - 1, "post"], tiny.logits)
    assert rows[-1, "embed", 0, 0].rank_before is None
    row = rows[1, "mid", 3, 2]
    assert (by_state[1, "mid"][3] > row.logit).sum() == 2
    before = by_state[0, "post"][3]
    assert row.rank_before == (before > before[row.token_id]).sum()
    assert row.prob == pytest.approx(
        float(by_state[1, "mid"][3].softmax(-1)[row.token_id])
    )


def test_attribution_sums_to_the_logit(tiny: Forward) -> None:
    """Embedding, heads, FFNs and biases add up to the logit of any token."""
    # Llama's own RMSNorm rounds every coordinate to float32: the sum is off by that.
    tolerance = 1e-6 if tiny.parameters.softmax_dtype == torch.float32 else 1e-11
    for token in (0, 11, 47):
        rows = reference_readout.logit_attribution(tiny, LAST, token)
        total = sum(v for (_, component, _), v in rows.items() if component != "neuron")
        assert total == pytest.approx(float(tiny.logits[LAST, token]), abs=tolerance)


def test_writes_of_heads_and_neurons_add_up(tiny: Forward) -> None:
    """Heads + bias are the attention's write, neurons + b_down the FFN's."""
    vectors = reference_readout.writes(tiny, LAST)
    for n, layer in enumerate(tiny.layers):
        heads = [v for at, v in vectors.items() if at[:2] == (n, "head")]
        neurons = [v for at, v in vectors.items() if at[:2] == (n, "neuron")]
        bias = reference.attn_step(layer, LAST).parts[Part("bias", None, LAST)]
        attention = sum(heads) + bias - vectors[n, "attn", 0]
        ffn = sum(neurons) + layer.block.b_down - vectors[n, "ffn", 0]
        assert attention.abs().max() < 1e-12
        assert ffn.abs().max() < 1e-12


def test_promoted_and_suppressed_are_the_two_ends(tiny: Forward) -> None:
    """The highest scores, the highest first; the lowest, the lowest first."""
    score = reference_readout.scores(
        tiny, LAST, reference_readout.writes(tiny, LAST)[1, "head", 2]
    )

    promoted = reference_readout.promoted(score, k=3)
    suppressed = reference_readout.suppressed(score, k=3)

    order = score.argsort(descending=True).tolist()
    assert [token for token, _ in promoted] == order[:3]
    assert [token for token, _ in suppressed] == order[::-1][:3]
    assert promoted[0][1] > 0 > suppressed[0][1]


def test_neuron_vocab_is_the_static_row(tiny: Forward) -> None:
    """Up to the activation and the scale, a neuron's write scores like its row."""
    write = reference_readout.writes(tiny, LAST)[1, "neuron", 5]
    scores = reference_readout.scores(tiny, LAST, write)

    static = reference_readout.neuron_vocab(tiny.parameters, 1, 5)

    ratio = scores / static
    activation = float(tiny.layers[1].activation[LAST, 5])
    assert ratio.std() < 1e-9 * ratio.abs().mean()
    assert math.copysign(1, float(ratio[0])) == math.copysign(1, activation)
