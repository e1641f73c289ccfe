"""Two prompts of one template whose routes are worked out by hand."""

from typing import Any

import numpy as np

from .builders import prompt, target
from .hand_made import Rows


def hand_made() -> dict[str, Rows]:
    """`Mary saw the park .` traced at two positions, `The park saw Mary .` at one."""
    said = [
        ("{name} saw the {place} .", [" Ma", "ry", " saw", " the", " park", " ."]),
        ("the {place} saw {name} .", [" The", " park", " saw", " Ma", "ry", " ."]),
    ]
    filled = '{{"template": "{}", "name": "Mary", "place": "park"}}'
    return {
        "prompts": [
            prompt(i, text="".join(words).strip(), metadata=filled.format(template))
            for i, (template, words) in enumerate(said)
        ],
        "tokens": [
            row for i, (_, words) in enumerate(said) for row in tokens_of(i, words)
        ],
        "targets": [target(0, 5), target(0, 6), target(1, 6)],
        "routes": [
            edge(0, 5, "resid", 0.9, query=5, key=5),
            edge(0, 6, "resid", 0.5, query=6, key=6),
            edge(0, 6, "attn", 0.4, query=6, key=1, head=0),
            edge(0, 6, "attn", 0.2, query=6, key=2, head=2),
            edge(0, 6, "attn", 0.25, query=5, key=1, head=1),
            edge(1, 6, "resid", 0.7, query=6, key=6),
            edge(1, 6, "attn", 0.3, query=6, key=5, head=0),
            # One piece of the name gets 0.2, the other 0.3 and 0.1; 0.02 is below tau.
            edge(1, 6, "attn", 0.2, query=4, key=0, head=1),
            edge(1, 6, "attn", 0.3, query=5, key=0, head=0),
            edge(1, 6, "attn", 0.1, query=5, key=0, head=1),
            edge(1, 6, "attn", 0.02, query=4, key=0, head=2),
        ],
    }


def tokens_of(prompt_id: int, words: list[str]) -> Rows:
    """A start token, then the words of a text that begins without its first space."""
    ends = (np.cumsum([len(word) for word in words]) - 1).tolist()
    starts = [None, 0, *ends[:-1]]
    return [
        {
            "prompt_id": prompt_id,
            "position": position,
            "token_id": position,
            "token": token,
            "char_start": start,
            "char_end": end,
            "is_special": position == 0,
            "entropy": 1.0,
            "top_token_id": 1,
            "top_token": " a",
            "top_prob": 0.5,
        }
        for position, (token, start, end) in enumerate(
            zip(["<s>", *words], starts, [None, *ends], strict=True)
        )
    ]


def edge(
    prompt_id: int,
    at: int,
    kind: str,
    contribution: float,
    *,
    query: int,
    key: int,
    head: int | None = None,
) -> dict[str, Any]:
    """An edge of the first layer's attention step, in the route of a target."""
    return {
        "prompt_id": prompt_id,
        "target": at,
        "layer": 0,
        "step": "attn",
        "kind": kind,
        "head": head,
        "query": query,
        "key": key,
        "contribution": contribution,
        "survives_at": contribution,
    }
