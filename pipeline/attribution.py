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
from numpy.typing import NDArray
from torch import Tensor

from .batch import Batch
from .history import History
from .neurons import neuron_names
from .readout import Readout
from .rows import Columns
from .weights import ModelWeights


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
    weights: ModelWeights,
) -> Iterator[Columns]:
    """Rows of `logit_attribution`, a part for every kind of component of a layer."""
    at, towards = asked.at, asked.towards

    def single(layer: int, component: str, vectors: Tensor) -> Columns:
        return _rows(asked, layer, component, (vectors * towards).sum(-1)[:, None])

    yield single(-1, "embed", history.states[0][at] * weights.embed_reach)
    for layer, (kept, own) in enumerate(zip(history.layers, weights, strict=True)):
        reach = own.attention.reach
        onto = torch.einsum("hvd,ad->ahv", own.attention.w_o, towards)
        yield _rows(asked, layer, "head", reach * (kept.heads[at] * onto).sum(-1))
        yield single(layer, "bias", reach * kept.bias_at_targets[asked.target])
        reach = own.ffn.reach
        yield single(layer, "ffn", reach * kept.ffn_at_targets[asked.target])
        top = kept.neurons
        place = top.place[at]
        onto = torch.einsum("akd,ad->ak", own.ffn.rows(place, towards.dtype), towards)
        stored = top.stored[at].cpu().numpy()
        values = reach * top.multiple[at] * onto
        names = neuron_names(place.cpu().numpy()[stored], own.ffn)
        yield _rows(asked, layer, "neuron", values, names=names, stored=stored)
    constant = readout.constant[asked.token_id][:, None]
    yield _rows(asked, len(weights), "bias", constant)


def _rows(
    asked: Asked,
    layer: int,
    component: str,
    values: Float[Tensor, "asked component"],
    *,
    names: tuple[pa.Array, NDArray[np.int32]] | None = None,
    stored: NDArray[np.bool_] | None = None,
) -> Columns:
    """Values as rows. Unless given, all are stored, the index is the column, and the
    component is of no expert."""
    n, k = values.shape
    keep = np.ones((n, k), bool) if stored is None else stored
    which = keep.nonzero()[0]
    total = len(which)
    if names is None:
        index = np.broadcast_to(np.arange(k, dtype=np.int32), (n, k))[keep]
        names = pa.nulls(total, pa.int16()), index
    columns: dict[str, Any] = {name: v[which] for name, v in asked.columns.items()}
    return {
        **columns,
        "layer": np.full(total, layer, np.int16),
        "component": pa.repeat(component, total),
        "expert": names[0],
        "index": names[1],
        "value": values.float().cpu().numpy()[keep],
    }
