"""The built-in tasks by name, and distinct prompts of one, held out or for training.

A task draws one prompt at random, in readable English. The hash of a prompt's text
alone says which split it is in, so no held-out prompt is ever drawn for training. (A
training prompt may end like one: "It is true that Denmark lies in".)
"""

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from typing import Literal

from .prompt import Prompt
from .tasks_by_rule import addition, agreement, greater_than, sentences
from .tasks_from_memory import facts, translation
from .tasks_in_context import colors, induction, ioi

Split = Literal["train", "held-out"]

HELD_OUT_SHARE = 1 / 8

TASKS: dict[str, Callable[[Random], Prompt]] = {
    task.__name__: task
    for task in (
        ioi,
        induction,
        greater_than,
        agreement,
        facts,
        translation,
        colors,
        addition,
        sentences,
    )
}


def is_held_out(text: str) -> bool:
    """Whether the text belongs to the held-out split; a fixed eighth of all texts."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def stream(task: str, split: Split, seed: int) -> Iterator[Prompt]:
    """Endless prompts of one task and split, the same for the same seed."""
    rng = Random(f"{task} {split} {seed}")
    while True:
        prompt = TASKS[task](rng)
        if is_held_out(prompt.text) == (split == "held-out"):
            yield prompt


def sample(task: str, split: Split, n: int, seed: int = 0) -> list[Prompt]:
    """n distinct prompts of one task and split."""
    found: dict[str, Prompt] = {}
    for prompt in islice(stream(task, split, seed), 100 * n):
        found.setdefault(prompt.text, prompt)
        if len(found) == n:
            return list(found.values())
    raise ValueError(f"{task} has only about {len(found)} {split} prompts, not {n}")
