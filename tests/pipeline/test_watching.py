"""Watching a model leaves no trace on it, and two threads may ask at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from flowglass.pipeline import trace
from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.model import prepare

from .families import build
from .tiny_models import random_tokens


def n_hooks(model: torch.nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks)
        for module in model.modules()
    )


@pytest.mark.parametrize("family", ["llama", "gpt_neo", "mixtral"])
def test_a_watched_model_is_as_before(family: str) -> None:
    """No hook, no setting, no function stays behind; not after an error either."""
    model = build(family)
    model.config._attn_implementation_internal = "sdpa"
    ids = torch.tensor([random_tokens(9, vocab=60)])
    with torch.inference_mode():
        before = model(ids, use_cache=False).logits

    trace(model, ids[0].tolist())
    model.train()
    with pytest.raises(ModelError):
        prepare(model, name="training")
    model.eval()

    assert n_hooks(model) == 0
    assert model.config._attn_implementation == "sdpa"
    assert "eager" not in ALL_ATTENTION_FUNCTIONS
    with torch.inference_mode():
        assert torch.equal(model(ids, use_cache=False).logits, before)


def test_two_threads_trace_one_model() -> None:
    """They take turns; each gets the rows of its own prompt."""
    model = build("qwen2_moe")
    prompts = [random_tokens(9, seed=seed, vocab=60) for seed in range(6)]
    alone = [trace(model, ids).edges for ids in prompts]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda ids: trace(model, ids).edges, prompts))
    assert together == alone
    assert n_hooks(model) == 0


def test_whisper_has_a_context() -> None:
    """Whatever its configuration calls it: a longer prompt is refused."""
    model = build("whisper")
    limit = model.config.max_target_positions
    assert prepare(model, name="whisper").anatomy.context == limit
    with pytest.raises(ValueError, match="context"):
        trace(model, [5] * (limit + 1))
