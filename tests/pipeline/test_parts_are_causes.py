"""A part is a cause: take it away in a forward pass, and the state lacks just that.

What a part says, coefficient * (v - b_V) * gate through W_O, is compared with what the
model itself loses when the value is replaced: closure would not see a part that goes by
another head's or another token's name.
"""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from flowglass.pipeline.decompose import attention_proximities, bias_part
from flowglass.pipeline.layer import LayerCapture
from flowglass.pipeline.model import LoadedModel, prepare

from .checks import IDS, SAMPLES, attention_part, captures_of
from .families import build
from .family_configs import HEADS
from .replaced_values import PLACES, state_behind_attention, state_without

ROUNDING = 2e-6
"""A norm between attention and stream computes in float32 whatever the dtype."""


@pytest.fixture(scope="module", params=PLACES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def loaded(family: str) -> LoadedModel:
    return prepare(build(family, dtype=torch.float64), name=family)


@pytest.fixture(scope="module")
def captures(loaded: LoadedModel) -> list[LayerCapture]:
    return captures_of(loaded)


@pytest.fixture(params=[0, 1])
def layer(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def tolerance(family: str) -> float:
    return ROUNDING if PLACES[family].norms else 1e-9


@pytest.mark.parametrize(("head", "key"), SAMPLES)
def test_a_part_is_what_its_value_changes(
    family: str,
    loaded: LoadedModel,
    captures: list[LayerCapture],
    layer: int,
    head: int,
    key: int,
) -> None:
    """One head's value at one key, replaced by the value bias: the state behind the
    attention lacks the part, at every query."""
    where = loaded.module, family, IDS, layer
    clean = state_behind_attention(*where)

    lost = clean - state_without(*where, heads=[head], keys=[key])

    weights = loaded.weights[layer].attention
    part = attention_part(captures[layer], weights, head, key)
    size = float(lost.abs().max())
    assert size > 1e-3
    assert_close(part, lost, rtol=0, atol=size * tolerance(family))


def test_a_contribution_is_measured_on_that_change(
    family: str, loaded: LoadedModel, captures: list[LayerCapture], layer: int
) -> None:
    """How near a part is to the state is how near what the model loses is to it."""
    where = loaded.module, family, IDS, layer
    whole = state_behind_attention(*where)

    near = attention_proximities(
        captures[layer].attention, loaded.weights[layer].attention, whole[None]
    )

    for head, key in SAMPLES:
        lost = whole - state_without(*where, heads=[head], keys=[key])
        size = float(lost.abs().sum(-1).max())
        due = whole.abs().sum(-1) - (whole - lost).abs().sum(-1)
        atol = size * tolerance(family)
        assert_close(near[0, head, :, key], due.clamp_min(0), rtol=0, atol=atol)


def test_without_all_values_the_residual_and_the_bias_are_left(
    family: str, loaded: LoadedModel, captures: list[LayerCapture], layer: int
) -> None:
    """Every head's value at every key, replaced by the value bias: what the attention
    still writes is the `bias` part."""
    heads, keys = range(HEADS), range(IDS.shape[1])

    left = state_without(loaded.module, family, IDS, layer, heads=heads, keys=keys)

    capture, weights = captures[layer], loaded.weights[layer]
    due = weights.keep_mid * capture.resid_pre
    due = due + bias_part(capture.attention, weights.attention)
    if weights.parallel:
        due = due + capture.ffn.write
    size = float(left.abs().max())
    assert_close(due[0], left, rtol=0, atol=size * tolerance(family))
