"""What the model predicted at a target, in words.

HTML, because tokens stand out in it; everything that comes from a store is escaped.
"""

from html import escape

from .prediction import Prediction, Row
from .theme import show_whitespace


def target_words(prediction: Prediction, target: int) -> str:
    """A heading, the prediction, and how what was due fared against it."""
    here = prediction.tokens[target]
    stored = prediction.stored_target(target)
    lines = [
        f"<p class='where'>After {_token(here['token'])} at position {target}, "
        "the model predicts</p>",
        f"<p class='top'>{_token(here['top_token'])}"
        f"<span class='share'>{percent(here['top_prob'])}</span></p>",
        _answer_line(prediction, stored) or _actual_line(prediction.tokens, target),
    ]
    return "".join(line for line in lines if line)


def _answer_line(prediction: Prediction, stored: Row | None) -> str:
    """How the answer's token that is due here fared, where the sweep recorded it."""
    if stored is None or stored["answer_rank"] is None:
        return ""
    prompt, following = prediction.prompt, prediction.tokens[stored["target"] + 1 :]
    verdict = "good" if stored["correct"] else "bad"
    mark = "✓" if stored["correct"] else "✗"
    answer = _token(prompt["answer"] or "")
    if following and stored["reason"] == "answer":
        answer += f" (here {_token(following[0]['token'])})"
    words = (
        f"<p class='{verdict}'>{mark} The answer {answer} comes "
        f"{ordinal(stored['answer_rank'])}, with {percent(stored['answer_prob'])}.</p>"
    )
    if stored["distractor_prob"] is not None and prompt["distractor"]:
        words += (
            f"<p>The distractor {_token(prompt['distractor'])} has "
            f"{percent(stored['distractor_prob'])}.</p>"
        )
    return words


def _actual_line(tokens: list[Row], target: int) -> str:
    """How the token that follows in the prompt fared."""
    if target + 1 >= len(tokens) or tokens[target + 1]["rank"] is None:
        return ""
    following = tokens[target + 1]
    return (
        f"<p>The prompt goes on with {_token(following['token'])}, which came "
        f"{ordinal(following['rank'])}.</p>"
    )


def _token(token: str) -> str:
    return f"<code>{escape(show_whitespace(token))}</code>"


def percent(share: float) -> str:
    """A probability as a reader says it.

    >>> percent(0.8312), percent(0.0004), percent(1.0)
    ('83.1 %', '< 0.1 %', '100.0 %')
    """
    return "< 0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def ordinal(rank: int) -> str:
    """A rank from 0 in words.

    >>> [ordinal(rank) for rank in (0, 1, 2, 3, 10, 21)]
    ['first', '2nd', '3rd', '4th', '11th', '22nd']
    """
    place = rank + 1
    if place == 1:
        return "first"
    if place % 100 in (11, 12, 13):
        return f"{place:,}th"
    return f"{place:,}" + {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
