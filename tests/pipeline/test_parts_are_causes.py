"""A part is a cause: take it away in a forward pass, and the state lacks just that.

What a part says, coefficient * (v - b_V) * gate through W_O, is compared with what the
model itself loses when the value is replaced: closure would not see a part that goes by
another head's or another token's name.
"""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from flowglass.pipeline.decompose import bias_part
from flowglass.pipeline.layer import LayerCapture
from flowglass.pipeline.model import LoadedModel, prepare

from .checks import IDS, SAMPLES, captures_of, parts
from .families import build
from .family_configs import HEADS
from .replaced_values import PLACES, state_behind_attention, state_without

POSITIONS = range(IDS.shape[1])
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

    lost = state_behind_attention(*where) - state_without(
        *where, heads=[head], keys=[key]
    )

    part = parts(captures[layer], loaded.weights[layer].attention, [head], [key])
    assert lost[:key].abs().max(initial=0) == 0 if key else True
    assert lost[key:].abs().max() > 1e-3
    assert_close(part, lost, rtol=0, atol=tolerance(family) * float(lost.abs().max()))
