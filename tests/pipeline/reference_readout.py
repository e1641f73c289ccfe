"""DESIGN 2.6 and 2.7, and the tables read from the logits: all through the unembedding.

A state goes through the final norm with its own statistics (the logit lens); a write
goes through it with the scale that the final state of its position has (promoted and
suppressed tokens, direct logit attribution), so that the scores of all writes and
biases add up to the logit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .reference import attn_step
from .reference_forward import Forward
from .reference_parameters import Parameters


class Token(NamedTuple):
    """A row of `tokens`; the last four describe the prediction made at the position."""

    token_id: int
    logprob: float | None  # of this token, given those before it
    rank: int | None
    entropy: float
    top_token_id: int
    top_prob: float


class Lens(NamedTuple):
    """A row of `lens`."""

    token_id: int
    logit: float
    prob: float
    rank_before: int | None  # None at the first state


def tokens(forward: Forward) -> list[Token]:
    """One row per position; natural logarithms; rank 0 is the most probable token."""
    rows = []
    for i, token_id in enumerate(forward.token_ids):
        logprobs = forward.logits[i].log_softmax(-1)
        before = forward.logits[i - 1] if i else None
        top = int(logprobs.argmax())
        rows.append(
            Token(
                token_id=token_id,
                logprob=(
                    None if before is None else float(before.log_softmax(-1)[token_id])
                ),
                rank=None if before is None else rank_of(before, token_id),
                entropy=-float((logprobs.exp() * logprobs).sum()),
                top_token_id=top,
                top_prob=float(logprobs[top].exp()),
            )
        )
    return rows


def rank_of(logits: Tensor, token_id: int) -> int:
    """How many tokens have a higher logit."""
    return int((logits > logits[token_id]).sum())


def target(
    forward: Forward,
    position: int,
    *,
    answer: int | None = None,
    distractor: int | None = None,
) -> dict[str, int | float | bool | None]:
    """The columns of `targets` that follow from the prediction made at `position`."""
    logits = forward.logits[position]
    probs = logits.softmax(-1)
    predicted = int(logits.argmax())
    return {
        "predicted_token_id": predicted,
        "predicted_prob": float(probs[predicted]),
        "answer_prob": None if answer is None else float(probs[answer]),
        "answer_rank": None if answer is None else rank_of(logits, answer),
        "distractor_prob": None if distractor is None else float(probs[distractor]),
        "correct": None if answer is None else predicted == answer,
    }


# --- 2.6 logit lens -------------------------------------------------------------------


def lens_logits(forward: Forward) -> dict[tuple[int, str], Tensor]:
    """(layer, state) -> logits [position, vocab], in the order of the stream."""
    states = {(-1, "embed"): forward.embedding}
    for n, layer in enumerate(forward.layers):
        states[n, "mid"] = layer.resid_mid
        states[n, "post"] = layer.resid_post
    parameters = forward.parameters
    return {
        at: parameters.final_norm(state) @ parameters.w_u
        for at, state in states.items()
    }


def lens(forward: Forward, *, k: int = 10) -> dict[tuple[int, str, int, int], Lens]:
    """(layer, state, position, rank) -> the token of that rank at that state."""
    rows: dict[tuple[int, str, int, int], Lens] = {}
    before: Tensor | None = None
    for (layer, state), logits in lens_logits(forward).items():
        for i in range(len(forward.token_ids)):
            probs = logits[i].softmax(-1)
            for rank, token in enumerate(logits[i].topk(k).indices.tolist()):
                rows[layer, state, i, rank] = Lens(
                    token_id=token,
                    logit=float(logits[i, token]),
                    prob=float(probs[token]),
                    rank_before=None if before is None else rank_of(before[i], token),
                )
        before = logits
    return rows


# --- 2.7 writes and direct logit attribution ------------------------------------------


def scores(forward: Forward, position: int, write: Tensor) -> Tensor:
    """What a write at a position adds to each logit there, [vocab]; no norm bias."""
    parameters = forward.parameters
    final = forward.final_state[position]
    return parameters.final_norm.frozen(write, final) @ parameters.w_u


def writes(forward: Forward, position: int) -> dict[tuple[int, str, int], Tensor]:
    """(layer, component, index) -> what it wrote at the position, a vector [d].

    Components: attn and ffn (index 0), the whole write with its biases; head, without
    biases; neuron, act * W_down.
    """
    vectors: dict[tuple[int, str, int], Tensor] = {}
    for n, layer in enumerate(forward.layers):
        vectors[n, "attn", 0] = layer.attn_write[position]
        vectors[n, "ffn", 0] = layer.ffn_write[position]
        for part, vector in attn_step(layer, position).parts.items():
            if part.kind == "attn":
                assert part.unit is not None
                head = (n, "head", part.unit)
                vectors[head] = vectors.get(head, torch.zeros_like(vector)) + vector
        for neuron, w_down in enumerate(layer.block.w_down):
            vectors[n, "neuron", neuron] = layer.activation[position, neuron] * w_down
    return vectors


def promoted(score: Tensor, *, k: int = 10) -> list[tuple[int, float]]:
    """The k (token, score) with the highest scores, the highest first."""
    return [(t, float(score[t])) for t in score.topk(k).indices.tolist()]


def suppressed(score: Tensor, *, k: int = 10) -> list[tuple[int, float]]:
    """The k (token, score) with the lowest scores, the lowest first."""
    return [(t, float(score[t])) for t in (-score).topk(k).indices.tolist()]


def logit_attribution(
    forward: Forward, position: int, token_id: int
) -> dict[tuple[int, str, int], float]:
    """(layer, component, index) -> logits; all but the neurons sum to the logit.

    Components: embed (layer -1), head, ffn, neuron (every one), and bias: one per
    layer for the attention's, one with layer = L for the final norm's.
    """
    vectors = {(-1, "embed", 0): forward.embedding[position]}
    for at, vector in writes(forward, position).items():
        if at[1] != "attn":
            vectors[at] = vector
    for n, layer in enumerate(forward.layers):
        for part, vector in attn_step(layer, position).parts.items():
            if part.kind == "bias":
                vectors[n, "bias", 0] = vector
    values = {
        at: float(scores(forward, position, vector)[token_id])
        for at, vector in vectors.items()
    }
    final_bias = forward.parameters.final_norm.bias @ forward.parameters.w_u
    values[len(forward.layers), "bias", 0] = float(final_bias[token_id])
    return values


def neuron_vocab(parameters: Parameters, layer: int, neuron: int) -> Tensor:
    """The scores of a neuron's static W_down row, [vocab]: gain and unembedding.

    No scale, as there is no state; centred where the final norm centres.
    """
    row = parameters.blocks[layer].w_down[neuron]
    return parameters.final_norm.direction(row) @ parameters.w_u
