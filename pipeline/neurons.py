"""The leading neurons of a layer, and their rows in `neurons` (DESIGN 2.5)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from .layer import FfnCapture, FfnWeights
from .neuron_step import activations, places
from .ranking import leading
from .rows import Columns, Frame, Rounding, just_below


@dataclass(frozen=True, eq=False)
class TopNeurons:
    """The leading neurons of every position of one layer."""

    place: Int[Tensor, "batch position rank"]
    """See `FfnWeights`."""
    contribution: Float[Tensor, "batch position rank"]
    """As stored: rounded."""
    activation: Float[Tensor, "batch position rank"]
    """Weighted by the router, in a mixture of experts; as stored: rounded."""
    multiple: Float[Tensor, "batch position rank"]
    """What its row of the weights is multiplied by in the stream."""
    stored: Bool[Tensor, "batch position rank"]
    """At or above the cutoff."""


def top_neurons(
    contribution: Float[Tensor, "batch position candidate"],
    ffn: FfnCapture,
    weights: FfnWeights,
    k: int,
    *,
    cutoff: float,
    round_: Rounding,
) -> TopNeurons:
    """The k neurons that contribute most; among equals the lowest place comes first."""
    floor = just_below(cutoff)
    values, flat = leading(contribution.flatten(0, 1), k, floor=floor)
    shape = (*contribution.shape[:2], -1)
    candidate = flat.reshape(shape)
    rounded = round_(values.float().cpu().numpy())
    kept = torch.from_numpy(rounded.astype(np.float64) >= cutoff).to(values.device)
    place, scale = places(ffn, weights, candidate)
    activation = activations(ffn, candidate)
    return TopNeurons(
        place=place,
        contribution=torch.from_numpy(rounded).to(values.device).reshape(shape),
        activation=torch.from_numpy(round_(activation.float().cpu().numpy())),
        multiple=activation * scale,
        stored=kept.reshape(shape),
    )


def no_neurons(like: Float[Tensor, "batch position d_model"]) -> TopNeurons:
    """Of a layer whose FFN does not open up, or of which none are asked for."""
    none = like[..., :0]
    return TopNeurons(none.long(), none, none, none, none.bool())


def neuron_rows(
    top: TopNeurons, weights: FfnWeights, frame: Frame, *, layer: int
) -> Columns:
    """Rows of `neurons`."""
    stored = (top.stored & frame.valid[..., None]).cpu().numpy()
    row, position, rank = stored.nonzero()
    expert, neuron = neuron_names(top.place.cpu().numpy()[stored], weights)
    return {
        "prompt_id": frame.prompt_ids[row],
        "layer": np.full(len(row), layer, np.int16),
        "position": position.astype(np.int32),
        "rank": rank.astype(np.int16),
        "expert": expert,
        "neuron": neuron,
        "contribution": top.contribution.cpu().numpy()[stored],
        "activation": top.activation.float().cpu().numpy()[stored],
    }


def neuron_names(
    place: NDArray[np.int64], weights: FfnWeights
) -> tuple[pa.Array, NDArray[np.int32]]:
    """The columns that name neurons: expert (null unless MoE), and number in it."""
    expert, none, neuron = weights.names(place)
    return pa.array(expert, pa.int16(), mask=none), neuron
