"""Rows of `logit_attribution`: what every component adds to a logit (DESIGN 2.7).

Direct logit attribution is the score of each write for one token: a dot product with
one vector a target and role, no projection. All rows but the neurons' add up to the
logit before the softcap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .batch import Batch
from .decompose import LayerWeights
from .history import History
from .readout import Readout
from .rows import Columns


@dataclass(frozen=True, eq=False)
class Asked:
    """The tokens whose logits are attributed, one entry a target and role."""

    target: Int[Tensor, " asked"]
    """Index into `History.targets`."""
    at: tuple[Int[Tensor, " asked"], Int[Tensor, " asked"]]
    """The target's row in the batch, and its position."""
    token_id: Int[Tensor, " asked"]
    towards: Float[Tensor, "asked d_model"]
    """See `Readout.towards`."""
    columns: Columns
    """prompt_id, target, role and token_id."""


def ask(
    batch: Batch, history: History, readout: Readout, predicted: Sequence[int]
) -> Asked:
    """At every target the predicted token, and the answer's and distractor's if any."""
    targets = [target for prompt in batch.prompts for target in prompt.targets]
    asked = [
        (i, role, token)
        for i, (target, top) in enumerate(zip(targets, predicted, strict=True))
        for role, token in (
            ("predicted", top),
            ("answer", target.answer_id),
            ("distractor", target.distractor_id),
        )
        if token is not None
    ]
    device = history.states[0].device
    target = torch.tensor([i for i, _, _ in asked], device=device)
    token_id = torch.tensor([token for _, _, token in asked], device=device)
    row, position = (index[target] for index in history.targets)
    scale = readout.scale_at(history.states[-1][row, position])
    return Asked(
        target=target,
        at=(row, position),
        token_id=token_id,
        towards=readout.towards(token_id, scale),
        columns={
            "prompt_id": batch.frame.prompt_ids[row.cpu().numpy()],
            "target": position.cpu().numpy(),
            "role": np.array([role for _, role, _ in asked]),
            "token_id": token_id.cpu().numpy(),
        },
    )


def attribution_rows(
    asked: Asked,
    history: History,
    readout: Readout,
    weights: Sequence[LayerWeights],
) -> Iterator[Columns]:
    """Rows of `logit_attribution`, a part for every kind of component of a layer."""
    at, towards = asked.at, asked.towards

    def single(layer: int, component: str, vectors: Tensor) -> Columns:
        return _rows(asked, layer, component, (vectors * towards).sum(-1)[:, None])

    yield single(-1, "embed", history.states[0][at])
    for layer, (kept, own) in enumerate(zip(history.layers, weights, strict=True)):
        w_o, w_down = own.attention.w_o, own.ffn.w_down
        onto = torch.einsum("hvd,ad->ahv", w_o, towards)
        yield _rows(asked, layer, "head", (kept.heads[at] * onto).sum(-1))
        yield single(layer, "bias", kept.bias_at_targets[asked.target])
        yield single(layer, "ffn", kept.ffn_at_targets[asked.target])
        top = kept.neurons
        onto = torch.einsum("akd,ad->ak", w_down[top.neuron[at]], towards)
        yield _rows(
            asked,
            layer,
            "neuron",
            top.activation[at] * onto,
            index=top.neuron[at],
            stored=top.stored[at],
        )
    constant = readout.constant[asked.token_id][:, None]
    yield _rows(asked, len(weights), "bias", constant)


def _rows(
    asked: Asked,
    layer: int,
    component: str,
    values: Float[Tensor, "asked component"],
    *,
    index: Tensor | None = None,
    stored: Tensor | None = None,
) -> Columns:
    """Values as rows; the index is the column, and all are stored, unless given."""
    n, k = values.shape
    keep = np.ones((n, k), bool) if stored is None else stored.cpu().numpy()
    places = np.arange(k) if index is None else index.cpu().numpy()
    which = keep.nonzero()[0]
    total = len(which)
    columns: dict[str, Any] = {name: v[which] for name, v in asked.columns.items()}
    return {
        **columns,
        "layer": np.full(total, layer, np.int16),
        "component": pa.repeat(component, total),
        "expert": pa.nulls(total, pa.int16()),
        "index": np.broadcast_to(places, (n, k))[keep],
        "value": values.float().cpu().numpy()[keep],
    }
