"""Trains a model as deep as GPT-2 small, to see how density goes with depth.

    python benchmarks/deeper.py .bench/deeper
    python benchmarks/density.py --model .bench/deeper

The bundled models have 4 layers of 4 heads. This one has 12 of 12, is 192 wide, and is
trained as they are, on the same text: half an hour for a thousand steps on one core.
"""

import argparse
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from flowglass.datasets.catalog import MODELS
from flowglass.pipeline.train import batches, config_of, fit

LAYERS, HEADS, WIDTH = 12, 12, 192


def deeper(
    *, layers: int = LAYERS, heads: int = HEADS, width: int = WIDTH
) -> GPT2Config:
    """The configuration of tiny-gpt2, with other sizes."""
    sizes = {"n_layer": layers, "n_head": heads, "n_embd": width}
    return GPT2Config(**config_of("tiny-gpt2").to_dict() | sizes)


def train(model: PreTrainedModel, folder: Path, *, steps: int, seed: int) -> float:
    """Train, save beside its tokenizer, and give the loss in nats a token."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(MODELS["tiny-gpt2"])
    loss = fit(model, batches(tokenizer, seed), steps=steps, device="cpu")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return loss


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--steps", type=int, default=3000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--start", type=Path, help="a model to train on from")
    asked = options.parse_args()
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    kind = AutoModelForCausalLM
    if asked.start:
        model = kind.from_pretrained(asked.start, dtype=torch.float32)
    else:
        model = kind.from_config(deeper(), dtype=torch.float32)
    loss = train(model, asked.folder, steps=asked.steps, seed=asked.seed)
    print(f"{model.num_parameters():,} parameters, loss {loss:.3f} nats a token")


if __name__ == "__main__":
    main()
