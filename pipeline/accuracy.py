"""How often a model's greedy continuation of a built-in prompt is right."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from flowglass.datasets.prompt import Prompt, continuation

SINGULAR, PLURAL = {"is", "was", "has"}, {"are", "were", "have"}


def greedy(
    model: Any, prompts: Sequence[Sequence[int]], n_tokens: int
) -> list[list[int]]:
    """The likeliest next n_tokens, one at a time, of prompts of one length."""
    ids = torch.tensor(prompts)
    for _ in range(n_tokens):
        with torch.inference_mode():
            logits = model(ids, use_cache=False).logits[:, -1]
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
    return ids[:, -n_tokens:].tolist()


def is_right(task: str, prompt: Prompt, said: str) -> bool:
    """Whether the continuation answers the prompt, by the rule of its task."""
    if task == "agreement":
        due = SINGULAR if prompt.answer in SINGULAR else PLURAL
        return said.split(" ")[1:2] != [] and said.split(" ")[1] in due
    if task == "greater_than":
        year = re.match(r" (\d{4})", said)
        start = re.search(r"\d{4}", prompt.text)
        return bool(year and start and int(year[1]) > int(start[0]))
    return said.startswith(continuation(prompt.text, prompt.answer or ""))


def accuracy(model: Any, tokenizer: Any, task: str, prompts: Sequence[Prompt]) -> float:
    """The share of prompts that the model continues rightly, greedily."""
    by_length: dict[tuple[int, int], list[tuple[Prompt, list[int]]]] = defaultdict(list)
    for prompt in prompts:
        ids = tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
        due = continuation(prompt.text, prompt.answer or "")
        n_due = len(tokenizer(due, add_special_tokens=False)["input_ids"])
        row = [tokenizer.bos_token_id, *ids]
        by_length[len(row), n_due].append((prompt, row))
    right = 0
    for (_, n_due), group in by_length.items():
        said = greedy(model, [row for _, row in group], n_due + 1)
        for (prompt, _), ids in zip(group, said, strict=True):
            right += is_right(task, prompt, tokenizer.decode(ids))
    return right / len(prompts)
