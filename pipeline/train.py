"""Train the bundled models from a seed: `python -m flowglass.pipeline.train tiny-gpt2`.

1. Train a byte-level BPE of 768 tokens on generated text (both models share it).
2. Train the model on documents of one to three built-in prompts with their answers,
   never one of the held-out split.
3. Save it in half precision and measure what was saved on the held-out prompts.
"""

import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from flowglass.datasets.catalog import MODELS, builtin_prompts
from flowglass.datasets.prompt import Prompt
from flowglass.datasets.tasks import TASKS, stream
from flowglass.datasets.words import ADJECTIVES

from .accuracy import accuracy
from .model_card import COMMAND, Sizes, card, commands

CONTEXT = 128
VOCABULARY = 768
ROWS = 16
LEARNING_RATE = 2e-3
WARM_UP = 200
MIX = ("induction=3", "facts=3", "translation=3", "colors=4")
"""How often a task is drawn; 2 for the others."""
DIGITS_ALONE = r" ?\d| ?\p{L}+| ?[^\s\p{L}\d]+|\s+"
START_TOKEN = {"tiny-gpt2": "<|endoftext|>", "tiny-llama": "<s>"}


def config_of(name: str) -> PreTrainedConfig:
    """The architecture of a bundled model."""
    common: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    if name == "tiny-gpt2":
        return GPT2Config(
            n_positions=CONTEXT,
            n_embd=128,
            n_layer=4,
            n_head=4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **common,
        )
    return LlamaConfig(
        max_position_embeddings=CONTEXT,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
        **common,
    )


def closing(prompt: Prompt, rng: random.Random) -> str:
    """What follows the answer in the training text: more of the same, if there is."""
    if prompt.answer in ("is", "are", "was", "were"):
        return f" {rng.choice(ADJECTIVES)}."
    if prompt.answer in ("has", "have"):
        return f" been {rng.choice(ADJECTIVES)}."
    rest, colours = prompt.metadata.get("rest"), prompt.metadata.get("colours")
    if isinstance(rest, list) and rest:
        return f" {' '.join(rest)}."
    if isinstance(colours, dict):
        others = [f" the {thing} {colour}" for thing, colour in colours.items()]
        return " and".join(["", *rng.sample(others, len(others))]) + "."
    return "." if prompt.answer else ""


def documents(seed: int, mix: Sequence[str] = MIX) -> Iterator[str]:
    """Endless training documents."""
    rng = random.Random(seed)
    prompts = {task: stream(task, "train", seed) for task in TASKS}
    share = dict(entry.split("=") for entry in mix)
    weights = [int(share.get(task, 2)) for task in prompts]
    while True:
        parts = rng.choices(list(prompts), weights, k=rng.choice([1, 1, 1, 2, 2, 3]))
        drawn = [next(prompts[task]) for task in parts]
        yield " ".join(p.completed() + closing(p, rng) for p in drawn)


def train_tokenizer(name: str, seed: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE in which every digit is a token of its own."""
    start = START_TOKEN[name]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(DIGITS_ALONE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    text = documents(seed)
    tokenizer.train_from_iterator(
        (next(text) for _ in range(20_000)),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[start],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if name == "tiny-llama":
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A", special_tokens=[(start, 0)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=start,
        model_max_length=CONTEXT,
    )


def batches(
    tokenizer: PreTrainedTokenizerFast, seed: int, mix: Sequence[str] = MIX
) -> Iterator[torch.Tensor]:
    """Endless [ROWS, CONTEXT] token ids; every row begins with a document's start."""
    text = documents(seed, mix)
    rows: list[list[int]] = []
    row: list[int] = []
    while True:
        drawn = [next(text) for _ in range(512)]
        for ids in tokenizer(drawn, add_special_tokens=False)["input_ids"]:
            row = [*row, 0, *ids]
            if len(row) >= CONTEXT:
                rows.append(row[:CONTEXT])
                row = []
        while len(rows) >= ROWS:
            yield torch.tensor(rows[:ROWS])
            rows = rows[ROWS:]


def fit(model: Any, data: Iterator[torch.Tensor], *, steps: int, device: str) -> float:
    """Train in place; gives the mean loss of the last hundred steps, in nats."""
    model.to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * step / steps)
        ),
    )
    losses: list[float] = []
    started = time.monotonic()
    for step in range(steps):
        ids = next(data).to(device)
        loss = model(ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if step % 250 == 249:
            recent = sum(losses[-100:]) / 100
            minutes = (time.monotonic() - started) / 60
            print(f"step {step + 1}  loss {recent:.3f}  {minutes:.1f} min", flush=True)
    model.eval()
    return sum(losses[-100:]) / len(losses[-100:])


def main(
    name: Annotated[str, typer.Argument(help="tiny-gpt2 or tiny-llama")],
    seed: int = 0,
    steps: int = 6000,
    device: str = "cuda" if torch.cuda.is_available() else "cpu",
    mix: Annotated[
        list[str] | None,
        typer.Option(help="TASK=WEIGHT: how often a task is drawn."),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Folder of a model to train on from.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="default: datasets/models/NAME")
    ] = None,
) -> None:
    """Train one of the bundled models from a seed and measure what was saved."""
    if name not in START_TOKEN:
        raise typer.BadParameter(f"{name} is none of {', '.join(START_TOKEN)}")
    folder = out or MODELS[name]
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    if start is None:
        tokenizer = train_tokenizer(name, seed)
        model = AutoModelForCausalLM.from_config(config_of(name), dtype=torch.float32)
        recipe = []
    else:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(start)
        model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
        recipe = commands((start / "README.md").read_text())
    print(f"{name}: {model.num_parameters():,} parameters on {device}", flush=True)
    data = batches(tokenizer, seed + 1, mix or MIX)
    loss = fit(model, data, steps=steps, device=device)
    options = "".join(f" --mix {m}" for m in mix or [])
    onwards = "" if start is None else " --start FOLDER"
    recipe.append(f"{COMMAND} {name} --seed {seed} --steps {steps}{options}{onwards}")

    model.to("cpu", torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    saved = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    scores = {
        task: accuracy(saved, tokenizer, task, builtin_prompts(task))
        for task in TASKS
        if task != "sentences"
    }
    sizes = Sizes(CONTEXT, VOCABULARY, LEARNING_RATE, ROWS * CONTEXT)
    text = card(name, recipe=recipe, sizes=sizes, loss=loss, scores=scores)
    (folder / "README.md").write_text(text)
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    typer.run(main)
