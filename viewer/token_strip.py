"""The prompt as a strip of tokens, of which one is the target."""

from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from .prediction import Prediction
from .target_words import ordinal, percent
from .theme import LONGEST, show_text

CAME_FIRST, CAME_LATER = "first", "later"


class TokenStrip(JSComponent):
    """A token per chip, shaded by its surprisal; `target` goes both ways."""

    tokens = param.List([], item_type=str, doc="White space made visible.")
    told = param.List([], item_type=str, doc="What is said of each, in words.")
    surprisals = param.List([], doc="In nats; none for the first token.")
    stored_targets = param.List([], item_type=int, doc="Positions the sweep traced.")
    answers = param.Dict({}, doc="Stored targets with an answer: first, or later.")
    summary = param.String("", doc="How the answer fared, in words.")
    special = param.List([], item_type=int, doc="Positions of start tokens.")
    target = param.Integer(0, bounds=(0, None))

    _esm = Path(__file__).parent / "token_strip.js"


def strip_values(prediction: Prediction) -> dict[str, Any]:
    """A prediction's tokens as the strip takes them, all but the target."""
    rows, targets = prediction.tokens, prediction.targets
    return {
        "tokens": prediction.shown_tokens,
        "told": [told(prediction, position) for position in range(len(rows))],
        "surprisals": [
            None if row["logprob"] is None else max(0.0, -row["logprob"])
            for row in rows
        ],
        "stored_targets": [int(row["target"]) for row in targets],
        "answers": {
            str(row["target"]): CAME_FIRST if row["correct"] else CAME_LATER
            for row in targets
            if row["correct"] is not None
        },
        "summary": answer_summary(prediction),
        "special": [i for i, row in enumerate(rows) if row["is_special"]],
    }


def told(prediction: Prediction, position: int) -> str:
    """What is said of a token: how expected it was, and what follows it."""
    row = prediction.tokens[position]
    parts = [f"position {position}"]
    if row["logprob"] is not None:
        surprisal = max(0.0, -row["logprob"])
        came = "" if row["rank"] is None else f", came {ordinal(row['rank'])}"
        parts.append(f"surprisal {surprisal:.2f} nats{came}")
    top = prediction.shown_predictions[position]
    parts.append(f"predicts {top} with {percent(row['top_prob'])}")
    stored = prediction.stored_target(position)
    if stored is not None and stored["answer_rank"] is not None:
        parts.append(f"the answer comes {ordinal(stored['answer_rank'])}")
    return " · ".join(parts)


def answer_summary(prediction: Prediction) -> str:
    """Whether the answer came first, over all of its tokens that were traced."""
    asked = [row for row in prediction.targets if row["correct"] is not None]
    if not asked:
        return ""
    right = sum(row["correct"] for row in asked)
    answer = show_text((prediction.prompt["answer"] or "").strip(), LONGEST)
    if len(asked) == 1:
        return f"The answer “{answer}” {'came' if right else 'did not come'} first."
    if right == len(asked):
        return f"The answer “{answer}” came first, at each of {right} tokens."
    return f"The answer “{answer}” came first at {right} of {len(asked)} tokens."
