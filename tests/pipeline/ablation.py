"""Mean ablation: what a model still gets right without some of its components.

At the last position of every prompt a component's write is replaced by its mean over
all prompts. So what it says of this prompt is gone, and what it says of any prompt (the
level that the layers above are used to) stays; zero is nothing they ever saw. Other
positions are left alone, as logit attribution is of the last position's writes: so
their keys and values are computed once, and an ablation runs one token of each prompt.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from flowglass.pipeline.model import LoadedModel

Change = Callable[[Tensor], Tensor]
"""What becomes of a write [prompt, 1, width]."""


class Component(NamedTuple):
    """A head, or the FFN of a layer, as `logit_attribution` names them."""

    layer: int
    component: str
    unit: int  # `index` there


@dataclass(frozen=True)
class Task:
    """Prompts up to their last token, which is about to be read."""

    model: LoadedModel
    before: DynamicCache
    last: Tensor  # prompt 1, token ids
    position: Tensor  # prompt 1
    mask: Tensor  # prompt position, 0 on the padding
    due: Tensor  # prompt, the token that should follow


@torch.inference_mode()
def task_of(
    model: LoadedModel, prompts: Sequence[Sequence[int]], due: Sequence[int]
) -> Task:
    """Prompts given as token ids, padded on the left."""
    width = max(map(len, prompts))
    rows = [[0] * (width - len(prompt)) + [*prompt] for prompt in prompts]
    ids = torch.tensor(rows)
    lengths = torch.tensor([[len(prompt)] for prompt in prompts])
    mask = (torch.arange(width) >= width - lengths).long()
    position = (mask.cumsum(-1) - 1).clamp_min(0)
    before = DynamicCache()
    model.module(
        ids[:, :-1],
        attention_mask=mask[:, :-1],
        position_ids=position[:, :-1],
        past_key_values=before,
    )
    return Task(model, before, ids[:, -1:], lengths - 1, mask, torch.tensor(due))


@torch.inference_mode()
def accuracy(task: Task) -> float:
    """How often the due token is the likeliest."""
    logits = task.model.module(
        task.last,
        attention_mask=task.mask,
        position_ids=task.position,
        past_key_values=task.before,
    ).logits[:, -1]
    task.before.crop(-1)  # it has taken in the last token
    return float((logits.argmax(-1) == task.due).double().mean())


def mean_writes(task: Task, components: Sequence[Component]) -> dict[Component, Tensor]:
    """Each component's mean over the prompts (a head's before its W_O)."""
    means: dict[Component, Tensor] = {}

    def keep(component: Component) -> Change:
        def see(write: Tensor) -> Tensor:
            means[component] = write.mean(0)
            return write

        return see

    with changed(task.model, {component: keep(component) for component in components}):
        accuracy(task)
    return means


def accuracy_without(task: Task, means: Mapping[Component, Tensor]) -> float:
    """The accuracy where these components write their means."""

    def constant(mean: Tensor) -> Change:
        return lambda write: mean.expand_as(write)

    changes = {component: constant(mean) for component, mean in means.items()}
    with changed(task.model, changes):
        return accuracy(task)


@contextmanager
def changed(model: LoadedModel, changes: Mapping[Component, Change]) -> Iterator[None]:
    """While open, components write what a function makes of their writes."""
    handles = [hook(model, *change) for change in changes.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def hook(model: LoadedModel, component: Component, change: Change) -> Any:
    """Change an FFN behind it, a head in front of W_O."""
    layer = model.anatomy.layers[component.layer]
    if component.component == "ffn":
        ffn = layer.writers[-1].module
        return ffn.register_forward_hook(lambda _, __, write: change(write))

    def before_w_o(_: Any, args: tuple[Tensor]) -> tuple[Tensor]:
        heads = list(args[0].chunk(model.anatomy.n_heads, dim=-1))
        heads[component.unit] = change(heads[component.unit])
        return (torch.cat(heads, dim=-1),)

    return layer.attention.out_proj.register_forward_pre_hook(before_w_o)
