"""What one forward pass leaves behind for the questions that only its end can answer.

Which states and writes are read through the unembedding follows from the routes, and
with which scale from the final state: so the states, the heads' outputs and the top
neurons of every layer are kept until the batch is done, and nothing larger.
"""

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from .batch import Batch
from .decompose import AttentionParts
from .layer import LayerCapture
from .neurons import TopNeurons

IntOrArray = TypeVar("IntOrArray", int, NDArray[np.integer])


@dataclass(frozen=True, eq=False)
class LayerHistory:
    """What is kept of one layer."""

    heads: Float[Tensor, "batch position head d_head"]
    """See `head_outputs`."""
    neurons: TopNeurons
    bias_at_targets: Float[Tensor, "target d_model"]
    """The attention's bias part."""
    ffn_at_targets: Float[Tensor, "target d_model"]
    """The FFN's write."""


@dataclass(frozen=True, eq=False)
class History:
    """What is kept of a batch."""

    targets: tuple[Int[Tensor, " target"], Int[Tensor, " target"]]
    """Row in the batch, and position; prompt by prompt."""
    states: list[Float[Tensor, "batch position d_model"]] = field(default_factory=list)
    """The residual stream: embed, then mid and post of every layer. A parallel block's
    mid is no state of the model, but what lies between its two writes."""
    layers: list[LayerHistory] = field(default_factory=list)

    @staticmethod
    def of(batch: Batch) -> "History":
        """A history of nothing yet."""
        at = [
            (row, target.position)
            for row, prompt in enumerate(batch.prompts)
            for target in prompt.targets
        ]
        row, position = torch.tensor(at, device=batch.ids.device).T
        return History((row, position))

    def keep(
        self, layer: LayerCapture, parts: AttentionParts, neurons: TopNeurons
    ) -> None:
        """Take in the next layer."""
        if not self.states:
            self.states.append(layer.resid_pre)
        self.states.extend([layer.resid_mid, layer.resid_post])
        self.layers.append(
            LayerHistory(
                heads=parts.heads,
                neurons=neurons,
                bias_at_targets=parts.bias[self.targets],
                ffn_at_targets=layer.ffn.write[self.targets],
            )
        )


def states_of(n_layers: int) -> list[tuple[int, str]]:
    """(layer, state) of `History.states`, as `lens` names them.

    >>> states_of(1)
    [(-1, 'embed'), (0, 'mid'), (0, 'post')]
    """
    inner = [(layer, name) for layer in range(n_layers) for name in ("mid", "post")]
    return [(-1, "embed"), *inner]


def state_before_attn(layer: IntOrArray) -> IntOrArray:
    """The place in `History.states` of what a layer's attention reads."""
    return 2 * layer


def state_before_ffn(layer: IntOrArray) -> IntOrArray:
    """The place in `History.states` of what a layer's FFN reads."""
    return 2 * layer + 1
