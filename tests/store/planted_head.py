"""A model one head of which was rewritten to do one thing, and to do it visibly."""

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowglass.pipeline.hub import PLAIN
from flowglass.pipeline.loading import load_module, load_tokenizer

HEAD = 3
"""Of the last layer, which only the target's own position reads."""


def sentence_end_model(
    texts: list[str],
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """tiny-gpt2, whose head `HEAD` of the last layer writes where a full stop stands.

    A least-squares probe of the last layer's input is 1 on full stops and 0 elsewhere.
    The head's query, key and value are all this probe: so from a full stop it attends
    to full stops, from elsewhere to all but these, and writes one vector if it does.
    """
    module = load_module("tiny-gpt2", dtype="float32", device="cpu", origin=PLAIN)
    tokenizer = load_tokenizer("tiny-gpt2")
    ids = [tokenizer(text)["input_ids"] for text in texts]
    stop = tokenizer.convert_tokens_to_ids(".")
    block, width = module.transformer.h[-1], module.config.n_embd
    with torch.no_grad():
        states = torch.cat([_input_of_last_layer(module, prompt) for prompt in ids])
        inputs = torch.cat([block.ln_1(states), torch.ones(len(states), 1)], dim=1)
        is_stop = torch.tensor([token == stop for prompt in ids for token in prompt])
        probe = torch.linalg.lstsq(
            inputs.T @ inputs + 0.01 * torch.eye(width + 1), inputs.T @ is_stop.float()
        ).solution
        head = slice(HEAD * width // 4, (HEAD + 1) * width // 4)
        for part, (scale, less) in enumerate([(16, 0.5), (8, 0.0), (1, 0.0)]):
            own = slice(head.start + part * width, head.stop + part * width)
            block.attn.c_attn.weight[:, own] = 0
            block.attn.c_attn.bias[own] = 0
            block.attn.c_attn.weight[:, own.start] = scale * probe[:-1]
            block.attn.c_attn.bias[own.start] = scale * (probe[-1] - less)
        block.attn.c_proj.weight[head] = 0
        direction = torch.randn(width, generator=torch.Generator().manual_seed(0))
        block.attn.c_proj.weight[head.start] = 2 * direction
    return module, tokenizer


def _input_of_last_layer(module: PreTrainedModel, prompt: list[int]) -> torch.Tensor:
    found = module(torch.tensor([prompt]), output_hidden_states=True)
    states: torch.Tensor = found.hidden_states[module.config.n_layer - 1][0]
    return states
