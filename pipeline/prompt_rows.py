"""Rows about prompts, their tokens, and what the model predicts at their targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from json import dumps
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from .batch import Batch
from .predictions import Prediction, predict
from .rows import Columns
from .text import TokenText
from .vocabulary_rows import spelled


def predict_next(
    logits: Float[Tensor, "batch position vocab"], batch: Batch
) -> Prediction:
    """The prediction at every place, and where the next token stands in it; numpy-ready
    tensors [batch, position]."""
    flat = predict(logits.flatten(0, 1), batch.ids.roll(-1, dims=1).flatten())
    return flat.map(lambda values: values.reshape(batch.ids.shape).cpu())


def token_rows(predicted: Prediction, batch: Batch, token_text: TokenText) -> Columns:
    """Rows of `tokens`."""
    valid = batch.frame.valid.cpu()
    row, position = (index.numpy() for index in valid.nonzero(as_tuple=True))
    first = position == 0
    # What is due at a position was predicted at the one before.
    due = row, np.maximum(position - 1, 0)
    top_ids = predicted.top_id[valid].numpy()
    spans = [span or (None, None) for p in batch.prompts for span in p.spans]

    def joined(name: str) -> list[Any]:
        return list(chain.from_iterable(getattr(p, name) for p in batch.prompts))

    return {
        "prompt_id": batch.frame.prompt_ids[row],
        "position": position.astype(np.int32),
        "token_id": batch.ids.cpu()[valid].numpy().astype(np.int32),
        "token": joined("tokens"),
        "word": joined("words"),
        "char_start": [start for start, _ in spans],
        "char_end": [end for _, end in spans],
        "is_special": joined("special"),
        "logprob": np.ma.masked_array(_floats(predicted.due_logprob)[due], mask=first),
        "rank": np.ma.masked_array(
            predicted.due_rank.numpy()[due].astype(np.int32), mask=first
        ),
        "entropy": _floats(predicted.entropy)[row, position],
        "top_token_id": top_ids.astype(np.int32),
        "top_token": spelled(top_ids, token_text),
        "top_prob": _floats(predicted.top_prob)[row, position],
    }


def _floats(values: Tensor) -> NDArray[np.float32]:
    return values.float().numpy()


def target_rows(
    logits: Float[Tensor, "batch position vocab"],
    predicted: Prediction,
    batch: Batch,
    n_edges: Sequence[int],
    token_text: TokenText,
) -> Columns:
    """Rows of `targets`; n_edges has one entry a target, prompt by prompt."""
    of = [(row, t) for row, p in enumerate(batch.prompts) for t in p.targets]
    targets = [target for _, target in of]
    rows, positions = [row for row, _ in of], [t.position for t in targets]
    at_targets = logits[rows, positions]
    answers = _standing(at_targets, [t.answer_id for t in targets])
    distractors = _standing(at_targets, [t.distractor_id for t in targets])
    top_ids = predicted.top_id[rows, positions].tolist()
    return {
        "prompt_id": [batch.prompts[row].prompt_id for row in rows],
        "target": positions,
        "reason": [t.reason for t in targets],
        "predicted_token_id": top_ids,
        "predicted_token": [token_text(i) for i in top_ids],
        "predicted_prob": predicted.top_prob[rows, positions].tolist(),
        "answer_token_id": answers.ids,
        "answer_prob": answers.probs,
        "answer_rank": answers.ranks,
        "distractor_token_id": distractors.ids,
        "distractor_prob": distractors.probs,
        "correct": [
            None if due is None else due == top
            for due, top in zip(answers.ids, top_ids, strict=True)
        ],
        "n_edges": list(n_edges),
    }


@dataclass(frozen=True)
class _Standing:
    """Probability and rank of one token at each target; None where there is none."""

    ids: list[int | None]
    probs: list[float | None]
    ranks: list[int | None]


def _standing(logits: Tensor, ids: Sequence[int | None]) -> _Standing:
    due = torch.tensor([i or 0 for i in ids], device=logits.device)
    found = predict(logits, due)
    probs, ranks = found.due_logprob.exp().tolist(), found.due_rank.tolist()
    known = [i is not None for i in ids]
    return _Standing(
        ids=list(ids),
        probs=[p if k else None for p, k in zip(probs, known, strict=True)],
        ranks=[r if k else None for r, k in zip(ranks, known, strict=True)],
    )


def prompt_rows(batch: Batch, closure: NDArray[np.float64]) -> Columns:
    """Rows of `prompts`."""
    of = batch.prompts
    return {
        "prompt_id": [p.prompt_id for p in of],
        "dataset": [p.dataset for p in of],
        "category": [p.prompt.category for p in of],
        "text": [p.prompt.text for p in of],
        "prompt_hash": [sha256(p.prompt.text.encode()).hexdigest() for p in of],
        "n_tokens": [len(p) for p in of],
        "answer": [p.prompt.answer for p in of],
        "distractor": [p.prompt.distractor for p in of],
        "closure": closure.tolist(),
        "metadata": [dumps(dict(p.prompt.metadata), ensure_ascii=False) for p in of],
    }
