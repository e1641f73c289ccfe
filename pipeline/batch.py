"""Prompts of similar length as one padded tensor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .prompts import TokenisedPrompt
from .rows import Frame, source_masks, source_weights

MOST_PADDING = 0.05
"""The share of a batch's places that may be padding."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Prompts padded on the right to one length."""

    prompts: Sequence[TokenisedPrompt]
    ids: Tensor
    """[batch, position], 0 on padding."""
    frame: Frame


def make_batches(
    prompts: Sequence[TokenisedPrompt], batch_tokens: int
) -> list[list[TokenisedPrompt]]:
    """Prompts of similar length together.

    A batch has at most batch_tokens places, and at most MOST_PADDING of them are empty.
    """
    found: list[list[TokenisedPrompt]] = []
    filled = 0
    for prompt in sorted(prompts, key=lambda p: (len(p), p.prompt_id)):
        places = (len(found[-1]) + 1) * len(prompt) if found else 0
        filled += len(prompt)
        if found and (1 - MOST_PADDING) * places <= filled and places <= batch_tokens:
            found[-1].append(prompt)
        else:
            found.append([prompt])
            filled = len(prompt)
    return found


def pad(prompts: Sequence[TokenisedPrompt], device: torch.device) -> Batch:
    """The prompts as one tensor of token ids."""
    width = max(len(p) for p in prompts)
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt.ids)
    lengths = torch.tensor([len(p) for p in prompts])
    valid = torch.arange(width) < lengths[:, None]
    prompt_ids = np.array([p.prompt_id for p in prompts], dtype=np.int32)
    return Batch(prompts, ids.to(device), Frame(prompt_ids, valid.to(device)))


def sources_of(
    batch: Batch, dtype: torch.dtype
) -> Float[Tensor, "batch query*key 1+source"]:
    """See `rows.source_weights`."""
    width = batch.ids.shape[1]
    words = np.full((len(batch.prompts), width), -1)
    delimiters = np.zeros((len(batch.prompts), width), bool)
    for row, prompt in enumerate(batch.prompts):
        words[row, : len(prompt)] = [-1 if w is None else w for w in prompt.words]
        delimiters[row, : len(prompt)] = prompt.delimiters
    device = batch.ids.device
    masks = source_masks(
        batch.ids,
        torch.from_numpy(words).to(device),
        torch.from_numpy(delimiters).to(device),
    )
    return source_weights(masks, batch.frame, dtype)
