"""Made-up prompts, their tokens, and what the model predicts at the last."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

NAMES = ("Mary", "John", "Alice", "Tom", "Zoë")
CITIES = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Peru": "Lima"}


@dataclass(frozen=True)
class MadeUpPrompt:
    """One prompt before any numbers."""

    prompt_id: int
    dataset: str
    category: str | None
    tokens: tuple[str, ...]
    answer: str | None

    @property
    def text(self) -> str:
        return "".join(self.tokens[1:])


def make_prompt(prompt_id: int, *, length: int | None = None) -> MadeUpPrompt:
    """The n-th prompt: indirect objects, capitals, and free text without an answer."""
    rng = np.random.default_rng(prompt_id)
    if length is not None:
        return MadeUpPrompt(prompt_id, "stories", None, _story(rng, length), None)
    kind = prompt_id % 3
    if kind == 0:
        a, b = rng.permutation(NAMES)[:2]
        text = f" When {a} and {b} went to the store , {b} gave a drink to"
        return _of_text(prompt_id, "ioi", "ABB", text, str(a))
    if kind == 1:
        country = str(rng.choice(list(CITIES)))
        text = f" The capital of {country} is"
        return _of_text(prompt_id, "facts", "capital", text, CITIES[country])
    return MadeUpPrompt(prompt_id, "stories", None, _story(rng, 9), None)


def _of_text(
    prompt_id: int, dataset: str, category: str, text: str, answer: str
) -> MadeUpPrompt:
    words = tuple(" " + word for word in text.split())
    return MadeUpPrompt(prompt_id, dataset, category, ("<s>", *words), answer)


def _story(rng: np.random.Generator, length: int) -> tuple[str, ...]:
    words = " After the storm Mary walk ed to the harbour ,\n\n and <b>saw</b> the old"
    pieces = [" " + w for w in words.split(" ") if w]
    pieces = [p.removeprefix(" ") if p.strip() in ("ed", ",") else p for p in pieces]
    start = int(rng.integers(len(pieces)))
    return ("<s>", *(pieces[(start + i) % len(pieces)] for i in range(length - 1)))


def make_tokens(prompt: MadeUpPrompt) -> dict[str, list[Any]]:
    """The rows of `tokens` but for prompt_id."""
    rng = np.random.default_rng(prompt.prompt_id + 10_000)
    size = len(prompt.tokens)
    top = [*prompt.tokens[1:], " " + (prompt.answer or "end")]
    if rng.random() < 0.35:
        top[-1] = " the"
    starts = np.concatenate([[0], np.cumsum([len(t) for t in prompt.tokens[1:]])])
    known = lambda values: [None, *values]  # noqa: E731  # null for the start token
    return {
        "position": list(range(size)),
        "token_id": [_id(token) for token in prompt.tokens],
        "token": list(prompt.tokens),
        "word": known(range(size - 1)),
        "char_start": known(starts[:-1].tolist()),
        "char_end": known(starts[1:].tolist()),
        "is_special": [True] + [False] * (size - 1),
        "logprob": known((-rng.gamma(1, 2, size - 1)).tolist()),
        "rank": known(rng.integers(0, 50, size - 1).tolist()),
        "entropy": rng.gamma(2, 1, size).tolist(),
        "top_token_id": [_id(token) for token in top],
        "top_token": top,
        "top_prob": rng.beta(2, 3, size).tolist(),
    }


def _id(token: str) -> int:
    return int(hashlib.sha256(token.encode()).hexdigest()[:4], 16)


def make_target(prompt: MadeUpPrompt, tokens: dict[str, list[Any]]) -> dict[str, Any]:
    """The row of `targets` for the last position, but for n_edges."""
    due = None if prompt.answer is None else " " + prompt.answer
    correct = None if due is None else tokens["top_token"][-1] == due
    probability = tokens["top_prob"][-1]
    return {
        "prompt_id": prompt.prompt_id,
        "target": len(prompt.tokens) - 1,
        "reason": "last",
        "predicted_token_id": tokens["top_token_id"][-1],
        "predicted_token": tokens["top_token"][-1],
        "predicted_prob": probability,
        "answer_token_id": None if due is None else _id(due),
        "answer_prob": None if due is None else probability * (1 if correct else 0.1),
        "answer_rank": None if due is None else (0 if correct else 7),
        "distractor_token_id": None,
        "distractor_prob": None,
        "correct": correct,
    }


def make_prompt_row(prompt: MadeUpPrompt) -> dict[str, Any]:
    """The row of `prompts`."""
    return {
        "prompt_id": prompt.prompt_id,
        "dataset": prompt.dataset,
        "category": prompt.category,
        "text": prompt.text,
        "prompt_hash": hashlib.sha256(prompt.text.encode()).hexdigest(),
        "n_tokens": len(prompt.tokens),
        "answer": prompt.answer,
        "distractor": None,
        "closure": 1e-6,
        "metadata": "{}",
    }
