"""What of a made-up store is about tokens: random, and only as varied as in a real one.

Columns by name, of `tokens`, `targets`, `prompts` and `logit_attribution`.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from synthetic import Copies

ROLES = ("predicted", "answer", "distractor")

Columns = Mapping[str, Any]


def attribution_columns(copies: Copies, neurons: Columns) -> Columns:
    """Rows of `logit_attribution`: every component at the last token, by role."""
    L, H = copies.shape.n_layers, copies.shape.n_heads
    layer = [-1, *np.repeat(np.arange(L), H + 2), L]
    component = ["embed", *(["head"] * H + ["ffn", "bias"]) * L, "bias"]
    index = [0, *[*range(H), 0, 0] * L, 0]
    last = (
        neurons["position"] == copies.lengths[neurons["prompt_id"] - copies.ids[0]] - 1
    )
    n, k = len(copies.ids), len(layer)
    ids = np.concatenate([np.repeat(copies.ids, k), neurons["prompt_id"][last]])
    of = {
        "prompt_id": ids,
        "target": copies.lengths[ids - copies.ids[0]] - 1,
        "layer": np.concatenate([np.tile(layer, n), neurons["layer"][last]]),
        "component": np.concatenate([np.tile(component, n), ["neuron"] * last.sum()]),
        "index": np.concatenate([np.tile(index, n), neurons["neuron"][last]]),
    }
    m = len(ids)
    token = copies.rng.integers(copies.shape.vocab_size, size=(len(ROLES), n))
    return {
        **{name: np.tile(values, len(ROLES)) for name, values in of.items()},
        "role": np.repeat(ROLES, m),
        "token_id": token[:, ids - copies.ids[0]].ravel(),
        "expert": pa.nulls(len(ROLES) * m, pa.int16()),
        "value": copies.rng.standard_t(2, len(ROLES) * m).astype(np.float32) * 0.3,
    }


def token_columns(copies: Copies, words: NDArray[Any]) -> Columns:
    """Rows of `tokens`; the first is a start token."""
    ids, start = copies.all("ids"), copies.position == 0
    text = words[ids]
    length = np.where(start, 0, np.char.str_len(text.astype(str)))
    ends = np.cumsum(length)
    ends -= np.repeat(ends[copies.first], copies.lengths)
    opens = np.cumsum(~start & np.char.startswith(text.astype(str), " "))
    word = opens - np.repeat(opens[copies.first], copies.lengths)
    rng, n = copies.rng, len(ids)
    top = rng.integers(copies.shape.vocab_size, size=n) ** 2 // copies.shape.vocab_size
    rank = np.exp(rng.uniform(0, 8, n)).astype(np.int32)
    masked = np.ma.masked_array
    return {
        "prompt_id": copies.ids[copies.prompt],
        "position": copies.position,
        "token_id": ids,
        "token": text,
        "word": masked(word, mask=start),
        "char_start": masked(ends - length, mask=start),
        "char_end": masked(ends, mask=start),
        "is_special": start,
        "logprob": masked(-rng.gamma(1.0, 3.0, n).astype(np.float32), mask=start),
        "rank": masked(rank, mask=start),
        "entropy": rng.gamma(4.0, 0.8, n).astype(np.float32),
        "top_token_id": top,
        "top_token": words[top],
        "top_prob": rng.beta(1.0, 2.0, n).astype(np.float32),
    }


def target_columns(copies: Copies, words: NDArray[Any]) -> Columns:
    """Rows of `targets` but `n_edges`: the last token of every prompt."""
    rng, n = copies.rng, len(copies.ids)
    token = rng.integers(copies.shape.vocab_size, size=(3, n))
    prob = rng.beta(1.0, 2.0, (3, n)).astype(np.float32)
    rank = rng.geometric(0.3, n) - 1
    return {
        "prompt_id": copies.ids,
        "target": copies.lengths - 1,
        "reason": np.full(n, "last"),
        "predicted_token_id": token[0],
        "predicted_token": words[token[0]],
        "predicted_prob": prob[0],
        "answer_token_id": token[1],
        "answer_prob": prob[1],
        "answer_rank": rank,
        "distractor_token_id": token[2],
        "distractor_prob": prob[2],
        "correct": rank == 0,
    }


def prompt_columns(
    copies: Copies, words: NDArray[Any], sources: Sequence[tuple[str, str]]
) -> Columns:
    """Rows of `prompts`."""
    text = ["".join(words[p.ids[1:]]) for p in copies.prompts]
    datasets, categories = zip(*sources, strict=True)
    n = len(text)
    answers = words[copies.rng.integers(len(words), size=(2, n))]
    return {
        "prompt_id": copies.ids,
        "dataset": list(datasets),
        "category": list(categories),
        "text": text,
        "prompt_hash": [sha256(t.encode()).hexdigest() for t in text],
        "n_tokens": copies.lengths,
        "answer": answers[0],
        "distractor": answers[1],
        "closure": copies.rng.uniform(1e-7, 1e-6, n).astype(np.float32),
        "metadata": [json.dumps({"line": int(i)}) for i in copies.ids],
    }
