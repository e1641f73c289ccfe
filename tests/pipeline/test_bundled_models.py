"""The bundled models can do what their cards say."""

import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from flowglass.datasets.catalog import MODELS, builtin_prompts
from flowglass.pipeline.accuracy import accuracy, is_right
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.model import load_model

BARS = {
    "ioi": 0.95,
    "induction": 0.95,
    "facts": 0.95,
    "translation": 0.95,
    "colors": 0.95,
    "agreement": 0.95,
    "greater_than": 0.9,
    "addition": 0.0,
}


def card_of(name: str) -> dict[str, float]:
    text = (MODELS[name] / "README.md").read_text()
    rows = re.findall(r"^\| (\w+) \| ([\d.]+)% \|$", text, re.MULTILINE)
    return {task: float(percent) / 100 for task, percent in rows}


@pytest.mark.parametrize("task", sorted(BARS))
@pytest.mark.parametrize("name", sorted(MODELS))
def test_held_out_accuracy(name: str, task: str) -> None:
    """Greedy, every answer token right, on the 500 held-out prompts: as on the card."""
    model = AutoModelForCausalLM.from_pretrained(MODELS[name], dtype=torch.float32)

    found = accuracy(model, load_tokenizer(name), task, builtin_prompts(task))

    assert found >= BARS[task]
    assert found == pytest.approx(card_of(name)[task], abs=0.005)


def test_judging_is_by_the_rule_of_the_task() -> None:
    """A later year of the right form, a verb of the right number, the exact answer."""
    year, verb, fact = (
        builtin_prompts(t)[0] for t in ("greater_than", "agreement", "facts")
    )
    start = int(re.findall(r"\d{4}", year.text)[0])
    assert is_right("greater_than", year, f" {start + 1}.")
    assert not is_right("greater_than", year, f" {start}.")
    assert not is_right("greater_than", year, " soon")
    assert is_right("agreement", verb, f" {verb.answer} old")
    assert not is_right("agreement", verb, f" {verb.distractor} old")
    assert is_right("facts", fact, f" {fact.answer}.")
    assert not is_right("facts", fact, f" {fact.distractor}.")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_models_are_small_and_of_their_kind(name: str) -> None:
    """Half precision, at most 2.5 MB; value biases not zero; fewer KV heads."""
    folder = Path(MODELS[name])
    assert (folder / "model.safetensors").stat().st_size <= 2.5e6
    loaded = load_model(name, dtype="float16")
    assert loaded.dtype == torch.float16
    attentions = [weights.attention for weights in loaded.weights]
    biases = [own.b_v.abs().max().item() for own in attentions]
    if name == "tiny-gpt2":
        assert min(biases) > 0
        assert min(own.b_o.abs().max().item() for own in attentions) > 0
    else:
        assert max(biases) == 0
        assert loaded.anatomy.n_kv_heads < loaded.anatomy.n_heads


def test_some_words_are_split() -> None:
    """Subword pieces are there to study."""
    tokenizer = load_tokenizer("tiny-gpt2")
    assert len(tokenizer) <= 800
    assert len(tokenizer(" Mogadishu")["input_ids"]) > 1
    assert len(tokenizer(" the")["input_ids"]) == 1
