"""Rows of `lens` and `writes`: states and writes of a batch, read in the vocabulary.

A projection costs 2 * d_model * vocab flops (docs/costs.md), so:

1. Only what the selection names is projected, many positions in one GEMM.
2. A block's write is the difference of two neighbouring states, and projections without
   scale and bias add up: where both states are projected the write costs nothing.
3. A few positions climb the stream together: of their logits no more is held than this
   state's and the one's before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .history import History, state_before_attn, state_before_ffn, states_of
from .layer import LayerWeights
from .neurons import neuron_names
from .ranking import leading, ranks
from .readout import Readout
from .rows import Columns, Frame
from .selection import Selection
from .text import TokenText
from .vocabulary_rows import promoted_and_suppressed, ranked_tokens
from .weights import ModelWeights

LOGITS_ON_CPU = 2**23
"""Logits in one tensor: 32 MB, of which a handful are alive."""

LOGITS_ELSEWHERE = 2**27


def logits_at_once(like: Tensor) -> int:
    """The most logits of one tensor on the device of `like`."""
    return LOGITS_ON_CPU if like.is_cpu else LOGITS_ELSEWHERE


Places = tuple[Int[Tensor, " place"], Int[Tensor, " place"]]
"""Rows of the batch, and positions in them."""

Names = tuple[pa.Array | None, Int[Tensor, " place"]]
"""Experts (None: of no mixture), and numbers of heads or neurons."""


@dataclass(frozen=True, eq=False)
class Block:
    """What a block wrote: the state behind it less `keep` times the one before it."""

    layer: int
    component: str
    mask: Bool[Tensor, "batch position"]
    """Where it is selected."""
    keep: float
    reach: float
    """What later residual multipliers make of it."""


@dataclass(frozen=True, eq=False)
class Projector:
    """Reads vectors of one batch through the unembedding, and keeps the rows."""

    history: History
    readout: Readout
    frame: Frame
    token_text: TokenText
    top_tokens: int
    final_scale: Float[Tensor, "batch position"]
    weights: ModelWeights
    lens: list[Columns] = field(default_factory=list)
    writes: list[Columns] = field(default_factory=list)

    @property
    def at_once(self) -> int:
        """How many vectors are projected in one GEMM."""
        return max(1, logits_at_once(self.readout.w_u) // len(self.readout.w_u))

    def states_and_blocks(self, selection: Selection) -> None:
        """The selected states, and the selected attention and FFN blocks' writes."""
        wanted = selection.states.clone()
        blocks = {}
        for layer, own in enumerate(self.weights):
            mid, post = state_before_attn(layer) + 1, state_before_ffn(layer) + 1
            reach, mask = own.attention.reach, selection.attn[layer]
            blocks[mid] = Block(layer, "attn", mask, own.keep_mid, reach)
            reach, mask = own.ffn.reach, selection.ffn[layer]
            blocks[post] = Block(layer, "ffn", mask, own.keep_post, reach)
        for state, block in blocks.items():
            wanted[state] |= block.mask
        place = torch.arange(len(wanted), device=wanted.device)[:, None, None]
        first = torch.where(wanted, place, len(wanted)).amin(0)
        # The state before is needed as well, a real one: a parallel block has no mid.
        first = first - 1 - self._skips(first).long()
        last = torch.where(wanted, place, -1).amax(0)
        row, position = (last >= 0).nonzero(as_tuple=True)
        # Sorted, the positions that climb on are always the first ones.
        order = last[row, position].argsort(descending=True, stable=True)
        chunks = row[order].split(self.at_once), position[order].split(self.at_once)
        for at in zip(*chunks, strict=True):
            if not len(at[0]):  # no state is in a route, at a high cutoff
                continue
            start = max(0, int(first[at].min()))
            self._climb(at, start, last[at], selection, blocks)

    def _skips(self, state: Tensor) -> Tensor:
        """Whether a state stands behind one that is no state of the model."""
        return (state % 2 == 0) & self.weights.anatomy.parallel

    def _climb(
        self,
        places: Places,
        start: int,
        last: Int[Tensor, " place"],
        selection: Selection,
        blocks: Mapping[int, Block],
    ) -> None:
        """Project the states from `start` up to each place's last."""
        raw_before = logits_before = None
        for state in range(start, int(last[0]) + 1):
            n = int((last >= state).sum())
            at = places[0][:n], places[1][:n]
            vectors = self.history.states[state][at]
            raw = self.readout.raw(vectors)
            if raw_before is not None:
                block = blocks[state]
                some = block.mask[at].nonzero()[:, 0]
                to = at[0][some], at[1][some]
                written = (raw[some] - block.keep * raw_before[some]) * block.reach
                index = torch.zeros_like(some)
                self._write_rows(
                    block.layer, block.component, (None, index), to, written
                )
            raw_before = raw
            if state % 2 and self.weights.anatomy.parallel:
                continue
            logits = self.readout.lens(raw, self.readout.scale_at(vectors))
            some = selection.states[state][at].nonzero()[:, 0]
            self._lens_rows(
                state,
                (at[0][some], at[1][some]),
                logits[some],
                None if logits_before is None else logits_before[some],
            )
            logits_before = logits

    def heads(self, layer: int, selection: Selection, weights: LayerWeights) -> None:
        """The selected heads' writes of one layer."""
        row, position, head = selection.heads[layer].nonzero(as_tuple=True)
        outputs = self.history.layers[layer].heads[row, position, head]
        w_o = weights.attention.w_o
        vectors = outputs.new_empty(len(row), w_o.shape[-1])
        for h in range(len(w_o)):
            vectors[head == h] = outputs[head == h] @ w_o[h]
        vectors *= weights.attention.reach
        self._project(layer, "head", (None, head), (row, position), vectors)

    def neurons(self, layer: int, selection: Selection, weights: LayerWeights) -> None:
        """The selected neurons' writes of one layer."""
        top = self.history.layers[layer].neurons
        some = selection.neurons[layer].nonzero(as_tuple=True)
        place = top.place[some]
        rows = weights.ffn.rows(place, top.multiple.dtype)
        vectors = rows * (top.multiple[some] * weights.ffn.reach)[:, None]
        expert, neuron = neuron_names(place.cpu().numpy(), weights.ffn)
        names = expert, torch.from_numpy(neuron)
        self._project(layer, "neuron", names, (some[0], some[1]), vectors)

    def _project(
        self, layer: int, component: str, names: Names, at: Places, vectors: Tensor
    ) -> None:
        for start in range(0, len(vectors), self.at_once):
            some = slice(start, start + self.at_once)
            expert, index = names
            own = None if expert is None else expert[some], index[some]
            raw = self.readout.raw(vectors[some])
            self._write_rows(layer, component, own, (at[0][some], at[1][some]), raw)

    def _write_rows(
        self, layer: int, component: str, names: Names, at: Places, raw: Tensor
    ) -> None:
        """Rows of `writes` for projected writes, [place, vocab] without a scale."""
        scores = raw * self.final_scale[at][:, None]
        expert, index = names
        for sign, values, ids in promoted_and_suppressed(scores, self.top_tokens):
            n, k = ids.shape
            each = np.repeat(np.arange(n), k)
            self.writes.append(
                {
                    **self._where(layer, at, k),
                    "component": pa.repeat(component, n * k),
                    "expert": pa.nulls(n * k, pa.int16())
                    if expert is None
                    else expert.take(pa.array(each)),
                    "index": index.cpu().numpy()[each],
                    "sign": np.full(n * k, sign, np.int8),
                    **ranked_tokens(ids, self.token_text, score=values),
                }
            )

    def _lens_rows(
        self, state: int, at: Places, logits: Tensor, before: Tensor | None
    ) -> None:
        """Rows of `lens` for the logits of a state [place, vocab]."""
        layer, name = states_of(len(self.history.layers))[state]
        values, ids = leading(logits, self.top_tokens)
        n, k = ids.shape
        probs = (values - logits.logsumexp(-1, keepdim=True)).exp()
        self.lens.append(
            {
                **self._where(layer, at, k),
                "state": pa.repeat(name, n * k),
                **ranked_tokens(ids, self.token_text, logit=values, prob=probs),
                "rank_before": pa.nulls(n * k, pa.int32())
                if before is None
                else ranks(before, ids).cpu().numpy().ravel(),
            }
        )

    def _where(self, layer: int, at: Places, k: int) -> Columns:
        row, position = (index.cpu().numpy() for index in at)
        return {
            "prompt_id": np.repeat(self.frame.prompt_ids[row], k),
            "layer": np.full(len(row) * k, layer, np.int16),
            "position": np.repeat(position.astype(np.int32), k),
        }
