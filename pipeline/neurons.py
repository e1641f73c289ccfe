"""The leading neurons of a layer, and their rows in `neurons` (DESIGN 2.5)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .ranking import leading
from .rows import Columns, Frame, Rounding


@dataclass(frozen=True, eq=False)
class TopNeurons:
    """The leading neurons of every position of one layer."""

    neuron: Int[Tensor, "batch position rank"]
    contribution: Float[Tensor, "batch position rank"]
    """As stored: rounded."""
    activation: Float[Tensor, "batch position rank"]
    stored: Bool[Tensor, "batch position rank"]
    """At or above the cutoff."""


def top_neurons(
    contribution: Float[Tensor, "batch position neuron"],
    activation: Float[Tensor, "batch position neuron"],
    k: int,
    *,
    cutoff: float,
    round_: Rounding,
) -> TopNeurons:
    """The k neurons that contribute most; among equals the lowest index comes first."""
    values, flat = leading(contribution.flatten(0, 1), k)
    shape = (*contribution.shape[:2], -1)
    neuron = flat.reshape(shape)
    rounded = round_(values.float().cpu().numpy())
    kept = torch.from_numpy(rounded.astype(np.float64) >= cutoff).to(values.device)
    return TopNeurons(
        neuron=neuron,
        contribution=torch.from_numpy(rounded).to(values.device).reshape(shape),
        activation=activation.gather(-1, neuron),
        stored=kept.reshape(shape),
    )


def neuron_rows(top: TopNeurons, frame: Frame, *, layer: int) -> Columns:
    """Rows of `neurons`."""
    stored = (top.stored & frame.valid[..., None]).cpu().numpy()
    row, position, rank = stored.nonzero()
    return {
        "prompt_id": frame.prompt_ids[row],
        "layer": np.full(len(row), layer, np.int16),
        "position": position.astype(np.int32),
        "rank": rank.astype(np.int16),
        "expert": pa.nulls(len(row), pa.int16()),
        "neuron": top.neuron.cpu().numpy()[stored].astype(np.int32),
        "contribution": top.contribution.cpu().numpy()[stored],
        "activation": top.activation.float().cpu().numpy()[stored],
    }
