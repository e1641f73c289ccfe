"""What is said of a target."""

from typing import Any

import pyarrow as pa

from flowglass.viewer.prediction import Prediction
from flowglass.viewer.target_words import target_words

TOKENS = ["<s>", " <b>Mary</b>", " met"]


def prediction(**target: Any) -> Prediction:
    """Three tokens and one stored target at the last."""
    tokens = [
        {"token": token, "rank": rank, "top_token": " <i>", "top_prob": 0.25}
        for token, rank in zip(TOKENS, (None, 0, 11), strict=True)
    ]
    stored = {
        "target": 2,
        "reason": "last",
        "answer_rank": 0,
        "answer_prob": 0.25,
        "distractor_prob": None,
        "correct": True,
    }
    return Prediction(
        run={"n_layers": 1, "cutoff": 0.01},
        prompt={"answer": "John", "distractor": None},
        tokens=tokens,
        targets=[{**stored, **target}],
        edges=pa.table({}),
    )


def test_the_answer_that_came_first_is_praised() -> None:
    """A stored target tells how its answer fared."""
    words = target_words(prediction(), 2)
    assert "✓ The answer <code>John</code> comes first, with 25.0 %." in words


def test_the_answer_that_did_not_says_where_it_came() -> None:
    """Rank 6 of the store is the 7th for a reader."""
    words = target_words(prediction(correct=False, answer_rank=6), 2)
    assert "✗ The answer <code>John</code> comes 7th" in words


def test_an_answer_of_several_tokens_says_which_is_due() -> None:
    """At an answer target the prompt goes on with the token that was due."""
    words = target_words(prediction(target=1, reason="answer"), 1)
    assert "The answer <code>John</code> (here <code>·met</code>) comes first" in words
    assert "goes on" not in words


def test_another_position_says_how_the_prompt_goes_on() -> None:
    """Where no target is stored, the next token of the prompt is compared."""
    words = target_words(prediction(), 1)
    assert "The prompt goes on with <code>·met</code>, which came 12th." in words
    assert "answer" not in words


def test_tokens_cannot_inject_markup() -> None:
    """Tokens are other people's text: they are escaped."""
    words = target_words(prediction(), 1)
    assert "<b>" not in words
    assert "<i>" not in words
    assert "&lt;b&gt;Mary" in words
