"""The table `neuron_vocab`: what every neuron's weights promote and suppress.

It belongs to the model and not to a prompt: a neuron's row of W_down through the final
norm's gain and the unembedding, without any scale. 2 * d_model * vocab flops a neuron.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from flowglass.store.model_tables import ModelWriter

from .model import LoadedModel
from .neurons import neuron_names
from .progress import Reporter
from .projections import logits_at_once
from .ranking import leading
from .readout import Readout
from .rows import Columns, as_table
from .text import TokenText
from .vocabulary_rows import SIGNS, ranked_tokens

TOP_TOKENS = 10
"""Tokens each way. The table belongs to a model, so no run's `--top-tokens` counts."""


def store_neuron_vocab(
    loaded: LoadedModel, store: str | Path, token_text: TokenText, report: Reporter
) -> None:
    """Commit the layers of this model that the store does not have yet."""
    n_layers = len(loaded.weights)
    left = layers_left(store, loaded.model_hash, n_layers)
    if not left:
        return
    writer = ModelWriter(store, loaded.model_hash)
    title = f"neurons of {loaded.name}, once per model"
    report.begin(title, total=n_layers, done=n_layers - len(left), unit="layers")
    for layer in left:
        writer.commit(layer, neuron_vocab(loaded, layer, token_text))
        report.advance(1)


def layers_left(store: str | Path, model_hash: str, n_layers: int) -> list[int]:
    """The layers of a model of which the store has no rows yet."""
    done = ModelWriter(store, model_hash).committed()
    return sorted(set(range(n_layers)) - done)


def neuron_vocab(loaded: LoadedModel, layer: int, token_text: TokenText) -> pa.Table:
    """Rows of `neuron_vocab` of one layer."""
    weights = loaded.weights[layer].ffn
    parts: list[Columns] = []
    for bank, start in zip(weights.banks, weights.starts(), strict=True):
        for expert in range(len(bank.w_down)):
            rows = bank.of(expert)
            names = neuron_names(start + np.arange(len(rows)), weights)
            parts += neuron_vocab_rows(loaded.readout, rows, names, layer, token_text)
            start += len(rows)
    return as_table("neuron_vocab", parts)


def neuron_vocab_rows(
    readout: Readout,
    w_down: Float[Tensor, "neuron d_model"],
    names: tuple[pa.Array, NDArray[np.int32]],
    layer: int,
    token_text: TokenText,
) -> Iterator[Columns]:
    """Rows of `neuron_vocab` of some neurons of a layer; `names` as of
    `neurons.neuron_names`."""
    expert, neuron = names
    for sign in SIGNS:
        scores, ids = strongest(readout, w_down, TOP_TOKENS, sign=sign)
        n, k = ids.shape
        each = np.repeat(np.arange(n), k)
        yield {
            "layer": np.full(n * k, layer, np.int16),
            "expert": expert.take(pa.array(each)),
            "neuron": neuron[each],
            "sign": np.full(n * k, sign, np.int8),
            **ranked_tokens(ids, token_text, score=scores),
        }


def strongest(
    readout: Readout, vectors: Float[Tensor, "row d_model"], k: int, *, sign: int
) -> tuple[Tensor, Tensor]:
    """Each vector's k highest raw scores and their tokens, [row, rank] each; with sign
    -1 the lowest.

    The vocabulary passes by in chunks, so that no more scores are held than for a few
    positions of a prompt.
    """
    directions = readout.norm.direction(vectors) * readout.logit_scale
    vocab = len(readout.w_u)
    at_once = max(k, logits_at_once(directions) // len(directions))
    best = directions.new_empty(len(vectors), 0)
    ids = best.long()
    for start in range(0, vocab, at_once):
        scores = directions @ readout.w_u[start : start + at_once].T
        more, found = leading(scores, k, sign=sign)
        # Those found before have the lower ids, so they come first among equals.
        best, order = leading(torch.cat([best, more], dim=-1), k, sign=sign)
        ids = torch.cat([ids, found + start], dim=-1).gather(-1, order)
    return best, ids
