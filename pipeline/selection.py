"""Which states and writes are read through the unembedding (DESIGN 3, `--project`)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from flowglass.store.schema import DEFAULT_TAU, KINDS, STEPS

from .history import History, state_before_attn, state_before_ffn
from .route_rows import RouteRows

ATTN_KIND = KINDS.index("attn")
FFN_KIND = KINDS.index("ffn")
FFN_STEP = STEPS.index("ffn")
BLOCK_STEP = STEPS.index("block")


@dataclass(frozen=True, eq=False)
class Selection:
    """Masks over a batch; a block write's two neighbouring states may be unselected."""

    states: Bool[Tensor, "state batch position"]
    attn: Bool[Tensor, "layer batch position"]
    ffn: Bool[Tensor, "layer batch position"]
    heads: Bool[Tensor, "layer batch position head"]
    neurons: tuple[Bool[Tensor, "batch position rank"], ...]
    """By layer, of `TopNeurons`."""


def select(
    project: Literal["routes", "all"],
    history: History,
    routes: RouteRows,
    valid: Bool[Tensor, "batch position"],
    *,
    parallel: bool,
) -> Selection:
    """all: everything at every position. routes: what some stored target's route at
    the default tau reaches; a neuron is a part like a head, and needs a contribution
    above tau as well."""
    layers = history.layers
    shape = (len(layers), *valid.shape)
    if project == "all":
        states = valid.expand(len(history.states), *valid.shape).clone()
        if parallel:
            states[1::2] = False
        return Selection(
            states=states,
            attn=valid.expand(shape),
            ffn=valid.expand(shape),
            heads=valid[..., None].expand(*shape, layers[0].heads.shape[2]),
            neurons=tuple(layer.neurons.stored & valid[..., None] for layer in layers),
        )
    states = torch.zeros((len(history.states), *valid.shape), dtype=torch.bool)
    heads = torch.zeros((*shape, layers[0].heads.shape[2]), dtype=torch.bool)
    ffn = torch.zeros(shape, dtype=torch.bool)
    graph, shown = routes.graph, routes.shown
    layer, row = graph.edges.layer[shown], graph.row[shown]
    query, key = graph.query[shown], graph.key[shown]
    is_ffn_step = graph.edges.step[shown] == FFN_STEP
    read = np.where(is_ffn_step, state_before_ffn(layer), state_before_attn(layer))
    states[read, row, key] = True
    over = np.where(graph.edges.step[shown] == BLOCK_STEP, 2, 1)
    states[read + over, row, query] = True
    by_head = graph.kind[shown] == ATTN_KIND
    head = graph.head[shown][by_head].astype(np.int64)
    heads[layer[by_head], row[by_head], query[by_head], head] = True
    by_ffn = graph.kind[shown] == FFN_KIND
    ffn[layer[by_ffn], row[by_ffn], query[by_ffn]] = True
    device = valid.device
    states, heads, ffn = states.to(device), heads.to(device), ffn.to(device)
    return Selection(
        states=states,
        attn=heads.any(-1),
        ffn=ffn,
        heads=heads,
        neurons=tuple(
            layer.neurons.stored
            & (layer.neurons.contribution.double() > DEFAULT_TAU)
            & through[..., None]
            for layer, through in zip(layers, ffn, strict=True)
        ),
    )
