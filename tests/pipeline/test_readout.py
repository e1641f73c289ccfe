"""From a state to logits, against the formula of DESIGN 2.6 and 2.7 in float64.

logits = cap(scale_u * (W_U norm(x) + b_u)), whatever of it a family has.
"""

from itertools import product
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from flowglass.pipeline.linear_norm import LinearNorm
from flowglass.pipeline.readout import Readout

WIDTH, VOCAB, EPS = 24, 40, 1e-5


class Formula(NamedTuple):
    """A readout in float32 and what it stands for, in float64."""

    readout: Readout
    gain: Tensor
    bias: Tensor
    w_u: Tensor
    b_u: Tensor

    def scale(self, states: Tensor) -> Tensor:
        """1 / the root of the variance, or of the mean square, of every state."""
        if self.readout.norm.centred:
            states = states - states.mean(-1, keepdim=True)
        return (states.square().mean(-1, keepdim=True) + EPS).rsqrt()

    def direction(self, vectors: Tensor) -> Tensor:
        """Centred where the norm centres, times the gain."""
        if self.readout.norm.centred:
            vectors = vectors - vectors.mean(-1, keepdim=True)
        return vectors * self.gain

    def logits(self, states: Tensor) -> Tensor:
        """Without a softcap."""
        normed = self.direction(states) * self.scale(states) + self.bias
        return (normed @ self.w_u.T + self.b_u) * self.readout.logit_scale

    def scores(self, writes: Tensor, final: Tensor) -> Tensor:
        """What writes add to the logits at a position with this final state."""
        scaled = self.direction(writes) * self.scale(final)
        return scaled @ self.w_u.T * self.readout.logit_scale


@pytest.fixture(
    params=product(("LayerNorm", "RMSNorm"), (1.0, 0.0625), (None, 30.0)), ids=str
)
def formula(request: pytest.FixtureRequest) -> Formula:
    """Random parameters under either norm; with and without a scale and a softcap."""
    kind, logit_scale, softcap = request.param
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    # A logit scale is small because what it multiplies is large.
    w_u, b_u = draw(VOCAB, WIDTH) * 4 / logit_scale, draw(VOCAB) / logit_scale
    gain, bias = 1 + 0.3 * draw(WIDTH), draw(WIDTH)
    if kind == "RMSNorm":
        bias = torch.zeros(WIDTH)

    def normalise(states: Tensor) -> Tensor:
        if kind == "RMSNorm":
            return functional.rms_norm(states, (WIDTH,), gain, EPS)
        return functional.layer_norm(states, (WIDTH,), gain, bias, EPS)

    readout = Readout(
        norm=LinearNorm(gain, bias, centred=kind == "LayerNorm"),
        normalise=normalise,
        w_u=w_u,
        b_u=b_u,
        logit_scale=logit_scale,
        softcap=softcap,
    )
    return Formula(readout, *(x.double() for x in (gain, bias, w_u, b_u)))


@pytest.fixture
def states() -> Tensor:
    """States of very different sizes."""
    generator = torch.Generator().manual_seed(1)
    size = torch.tensor([0.01, 0.3, 1.0, 20.0, 500.0])[:, None]
    return torch.randn(5, WIDTH, generator=generator) * size


def test_lens_is_the_capped_logit(formula: Formula, states: Tensor) -> None:
    """A state's own statistics, every bias, the scale, and the softcap last."""
    readout = formula.readout

    found = readout.lens(readout.raw(states), readout.scale_at(states))

    due = formula.logits(states.double())
    if readout.softcap is not None:
        assert due.abs().max() > readout.softcap, "a cap that is not felt"
        due = readout.softcap * torch.tanh(due / readout.softcap)
    assert (found - due).abs().max() <= 1e-4


def test_scores_add_up_to_the_uncapped_logit(formula: Formula, states: Tensor) -> None:
    """Writes at the final state's scale, and the constant: the logit before a cap."""
    readout = formula.readout
    final = states.sum(0)
    scale = readout.scale_at(final)

    scores = readout.raw(states) * scale

    due = formula.scores(states.double(), final.double())
    torch.testing.assert_close(scores.double(), due, rtol=1e-5, atol=1e-4)
    logits = formula.logits(final.double())
    total = scores.double().sum(0) + readout.constant
    torch.testing.assert_close(total, logits, rtol=1e-5, atol=1e-4)


def test_towards_gives_the_score_of_one_token(formula: Formula, states: Tensor) -> None:
    """A dot product with one vector is one column of the projection."""
    readout = formula.readout
    tokens = torch.tensor([3, 0, VOCAB - 1])
    scale = readout.scale_at(states[2])

    found = states @ readout.towards(tokens, scale.expand(3)).T

    due = formula.scores(states.double(), states[2].double())[:, tokens]
    torch.testing.assert_close(found.double(), due, rtol=1e-5, atol=1e-4)


def test_a_state_of_zeros_has_the_constant_for_logits(formula: Formula) -> None:
    """Nothing to divide by is no NaN."""
    readout, zeros = formula.readout, torch.zeros(1, WIDTH)

    found = readout.lens(readout.raw(zeros), readout.scale_at(zeros))

    assert torch.equal(found[0], readout.capped(readout.constant))
