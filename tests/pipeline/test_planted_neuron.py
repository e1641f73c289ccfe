"""A neuron that writes one token's unembedding direction is said to promote it.

Nothing that it reads matters: its input weights are zero, so its activation follows
from its input bias alone and is the same at every position.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from flowglass.pipeline import Trace, trace

from .tiny_models import random_tokens, tiny_gpt2, tiny_llama_biased
from .top_lists import where

LAYER, NEURON, TOKEN = 1, 17, 30
SIZE = 60.0  # enough to outweigh the rest of the residual stream
IDS = random_tokens(6, seed=1)


class Planted(NamedTuple):
    """A model with a planted neuron."""

    model: PreTrainedModel
    activation: float


@torch.no_grad()
def in_gpt2(negative: bool) -> Planted:
    """gelu(3) = 2.996; the lowest that gelu can be is -0.17, near -0.75."""
    model = tiny_gpt2()
    ffn: Any = model.transformer.h[LAYER].mlp
    bias = -0.75 if negative else 3.0
    ffn.c_fc.weight[:, NEURON] = 0
    ffn.c_fc.bias[NEURON] = bias
    activation = float(torch.nn.functional.gelu(torch.tensor(bias), approximate="tanh"))
    ffn.c_proj.weight[NEURON] = write(model, size=SIZE) / abs(activation)
    return Planted(model, activation)


@torch.no_grad()
def in_llama(negative: bool) -> Planted:
    """silu(3) * +-1 = +-2.858: the gate decides how much, the other half the sign."""
    model = tiny_llama_biased()
    ffn: Any = model.model.layers[LAYER].mlp
    up = -1.0 if negative else 1.0
    ffn.gate_proj.weight[NEURON], ffn.up_proj.weight[NEURON] = 0, 0
    ffn.gate_proj.bias[NEURON], ffn.up_proj.bias[NEURON] = 3.0, up
    activation = float(torch.nn.functional.silu(torch.tensor(3.0))) * up
    ffn.down_proj.weight[:, NEURON] = write(model, size=SIZE) / abs(activation)
    return Planted(model, activation)


def write(model: PreTrainedModel, *, size: float) -> Tensor:
    """The token's unembedding direction, times a size."""
    w_u: Tensor = model.get_parameter("lm_head.weight")
    return size * w_u[TOKEN].detach()


FAMILIES = {"gpt2": in_gpt2, "llama": in_llama}


@pytest.fixture(params=FAMILIES)
def planted(request: pytest.FixtureRequest) -> Callable[[bool], Planted]:
    """Plants the neuron in a family's tiny model."""
    return FAMILIES[request.param]


def said_first(t: Trace, sign: int) -> list[tuple[int, float]]:
    """(token, score) that leads the neuron's list of this sign, by position."""
    rows = where(
        t.writes, component="neuron", layer=LAYER, index=NEURON, sign=sign, rank=0
    )
    assert rows["position"].to_pylist() == list(range(len(IDS)))
    scores = rows["score"].to_pylist()
    return list(zip(rows["token_id"].to_pylist(), scores, strict=True))


@pytest.mark.parametrize("negative", [False, True])
def test_the_plant_is_the_leading_neuron(
    planted: Callable[[bool], Planted], negative: bool
) -> None:
    """It contributes most in its layer, with the activation that was set."""
    model, activation = planted(negative)

    rows = where(trace(model, IDS).neurons, layer=LAYER, rank=0)

    assert (activation < 0) == negative
    assert rows["neuron"].to_pylist() == [NEURON] * len(IDS)
    rounded = pytest.approx([activation] * len(IDS), rel=2**-8)
    assert rows["activation"].to_pylist() == rounded


def test_a_positive_activation_promotes(planted: Callable[[bool], Planted]) -> None:
    """The token leads what the neuron promotes at every position."""
    t = trace(planted(False).model, IDS, project="all")

    for token, score in said_first(t, +1):
        assert token == TOKEN
        assert score > 0
    assert all(token != TOKEN for token, _ in said_first(t, -1))


def test_a_negative_activation_suppresses(planted: Callable[[bool], Planted]) -> None:
    """The same weights, the other sign: it leads what the neuron suppresses."""
    t = trace(planted(True).model, IDS, project="all")

    for token, score in said_first(t, -1):
        assert token == TOKEN
        assert score < 0
    assert all(token != TOKEN for token, _ in said_first(t, +1))


@pytest.mark.parametrize("negative", [False, True])
def test_its_weights_promote_whatever_the_activation(
    planted: Callable[[bool], Planted], negative: bool
) -> None:
    """`neuron_vocab` knows no activation: the token leads what is promoted."""
    t = trace(planted(negative).model, IDS)

    rows = where(t.neuron_vocab, layer=LAYER, neuron=NEURON, rank=0)

    assert where(rows, sign=+1)["token_id"].to_pylist() == [TOKEN]
    assert where(rows, sign=-1)["token_id"].to_pylist() != [TOKEN]


def test_logit_attribution_is_the_score(planted: Callable[[bool], Planted]) -> None:
    """The token is predicted, and the neuron's value is its score in `writes`."""
    t = trace(planted(False).model, IDS, project="all")

    rows = where(t.logit_attribution, component="neuron", layer=LAYER, index=NEURON)

    assert rows["token_id"].to_pylist() == [TOKEN]
    _, score = said_first(t, +1)[-1]
    assert rows["value"].to_pylist() == pytest.approx([score])
