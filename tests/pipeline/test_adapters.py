"""An adapter is merged into the weights exactly, or refused with the reason."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from transformers import MistralConfig, MistralForCausalLM, PreTrainedModel

from flowglass.pipeline import trace
from flowglass.pipeline.sweeping import sweep
from flowglass.store.store import open_store

from .checkpoints import edit_json, edit_weights, load, refusal
from .tiny_models import (
    WIDTH,
    random_tokens,
    tiny_gpt2,
    tiny_llama,
    tiny_llama_biased,
    tiny_llama_wide_heads,
)

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
QUERY = "base_model.model.model.layers.0.self_attn.q_proj"
IDS = torch.tensor([random_tokens(12)])

Make = Callable[[], PreTrainedModel]


def logits(module: torch.nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = module(IDS).logits
    return found


def train(base: PreTrainedModel, config: peft.PeftConfig, folder: Path) -> Tensor:
    """Save an adapter with random weights; gives the logits that it makes, unmerged."""
    generator = torch.Generator().manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = peft.get_peft_model(base, config).eval()
        for weight in adapted.parameters():
            if weight.requires_grad:
                noise = torch.randn(weight.shape, generator=generator)
                weight.data += 0.3 * noise
        adapted.save_pretrained(str(folder))
    return logits(adapted)


def lora(*targets: str, **options: Any) -> LoraConfig:
    return LoraConfig(target_modules=list(targets), **options)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder of a tiny Llama."""
    tiny_llama().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """The folder of a LoRA adapter for it."""
    train(tiny_llama(), lora("q_proj", task_type="CAUSAL_LM"), tmp_path / "adapter")
    return tmp_path / "adapter"


MERGED: dict[str, tuple[Make, Callable[[], peft.PeftConfig]]] = {
    "lora": (tiny_llama, lambda: lora("q_proj", "o_proj", "up_proj", "down_proj")),
    "lora-conv1d": (tiny_gpt2, lambda: lora("c_attn", "c_proj")),
    "lora-biases": (tiny_llama_biased, lambda: lora("q_proj", bias="all")),
    "lora-embedding": (tiny_llama, lambda: lora("embed_tokens", "q_proj")),
    "dora": (tiny_llama, lambda: lora("v_proj", use_dora=True)),
    "pissa": (tiny_llama, lambda: lora("v_proj", init_lora_weights="pissa")),
    "head-untied": (tiny_gpt2, lambda: lora("c_attn", modules_to_save=["lm_head"])),
    "tokens-tied": (tiny_gpt2, lambda: lora("c_attn", trainable_token_indices=[1, 2])),
    "loha": (tiny_llama, lambda: peft.LoHaConfig(target_modules=["k_proj"])),
    "ia3": (
        tiny_gpt2,
        lambda: peft.IA3Config(
            target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"]
        ),
    ),
}


@pytest.mark.parametrize("kind", sorted(MERGED))
def test_merged_model_is_the_adapted_one(tmp_path: Path, kind: str) -> None:
    """Merged, the adapter gives the logits that it gives beside the weights."""
    make, config = MERGED[kind]
    make().save_pretrained(tmp_path / "base")
    adapted = train(make(), config(), tmp_path / "adapter")
    module = load(tmp_path / "base", adapter=str(tmp_path / "adapter"))
    torch.testing.assert_close(logits(module), adapted, rtol=1e-4, atol=1e-4)
    assert (adapted - logits(make())).abs().max() > 0.1
    assert type(module) is type(make())
    assert not module.training


def test_lora_by_hand(base: Path, adapter: Path) -> None:
    """The change of a weight is scale * B @ A, and no other weight changes."""
    edit_json(adapter / CONFIG, lora_alpha=16, r=8)
    a, b = torch.randn(8, WIDTH), torch.randn(WIDTH, 8)
    edit_weights(
        adapter / WEIGHTS,
        **{f"{QUERY}.lora_A.weight": a, f"{QUERY}.lora_B.weight": b},
    )
    before = load(base).state_dict()
    after = load(base, adapter=str(adapter)).state_dict()
    name = QUERY.removeprefix("base_model.model.") + ".weight"
    torch.testing.assert_close(after[name], before[name] + 2 * b @ a)
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed == {name.replace("0", str(layer)) for layer in range(3)}


def test_adapter_is_part_of_a_run(tmp_path: Path) -> None:
    """With an adapter it is another run, in which the adapter is recorded."""
    adapter, store = str(tmp_path / "adapter"), tmp_path / "store"
    train(load("tiny-llama"), lora("q_proj", task_type="CAUSAL_LM"), Path(adapter))
    runs = [
        sweep(
            model="tiny-llama", data="ioi", store=store, limit=2, adapter=given
        ).run_id
        for given in (None, adapter)
    ]
    with open_store(store) as opened:
        rows = opened.sql("select run_id, config from runs").fetchall()
    recorded = {run: json.loads(config)["adapter"] for run, config in rows}
    assert recorded == {runs[0]: None, runs[1]: adapter}


def test_trace_takes_an_adapter(base: Path, adapter: Path) -> None:
    """trace(adapter=) predicts by the merged weights."""
    ids = list(random_tokens(6))
    plain, adapted = trace(str(base), ids), trace(str(base), ids, adapter=str(adapter))
    assert plain.model.model_hash != adapted.model.model_hash
    assert plain.targets != adapted.targets


# What cannot be merged


@pytest.mark.parametrize(
    "config",
    [
        peft.PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
        peft.PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
    ],
    ids=["prompt", "prefix"],
)
def test_prompt_learning(tmp_path: Path, base: Path, config: peft.PeftConfig) -> None:
    """Virtual tokens are no change of weights."""
    train(tiny_llama(), config, tmp_path / "a")
    line = refusal(base, adapter=str(tmp_path / "a"))
    assert "_TUNING adds to what a prompt reads and changes no weight" in line


@pytest.mark.parametrize(
    ("make", "config", "part"),
    [
        (tiny_gpt2, lora("wte"), "transformer.wte"),
        (tiny_llama, lora("q_proj", layer_replication=[[0, 2], [1, 3]]), "q_proj"),
    ],
    ids=["tied embedding", "repeated layers"],
)
def test_weight_with_two_users(
    tmp_path: Path, make: Make, config: LoraConfig, part: str
) -> None:
    """Merged, the change of one user's weight would be the other's too."""
    make().save_pretrained(tmp_path / "base")
    train(make(), config, tmp_path / "a")
    line = refusal(tmp_path / "base", adapter=str(tmp_path / "a"))
    assert f"{part} shares its weights with another part" in line


def test_weights_that_are_not_numbers(base: Path, adapter: Path) -> None:
    """A NaN in an adapter does not get into the model."""
    broken = torch.full((WIDTH, 8), float("nan"))
    edit_weights(adapter / WEIGHTS, **{f"{QUERY}.lora_B.weight": broken})
    assert "cannot be merged into the weights: NaN" in refusal(
        base, adapter=str(adapter)
    )


def test_quantised_base(
    base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merging would round the adapter to the few values that are left."""
    monkeypatch.setattr(PreTrainedModel, "is_quantized", True, raising=False)
    assert "are quantised and would round it off" in refusal(base, adapter=str(adapter))


# What was made for another model


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: tiny_llama(n_layers=2), "it has no weights for"),
        (lambda: tiny_llama(n_layers=4), "the model has nothing like its"),
        (lambda: tiny_llama_wide_heads(n_layers=3), "size mismatch for"),
    ],
    ids=["fewer layers", "more layers", "other shapes"],
)
def test_adapter_for_another_size(
    tmp_path: Path, base: Path, make: Make, why: str
) -> None:
    """All of an adapter has its place, and every place its adapter."""
    config = lora("q_proj", task_type="CAUSAL_LM")
    train(make(), config, tmp_path / "other")
    line = refusal(base, adapter=str(tmp_path / "other"))
    assert f"does not fit model {str(base)!r}: {why}" in line


def test_modules_that_are_not_there(tmp_path: Path, base: Path) -> None:
    """GPT-2 has no q_proj."""
    config = lora("c_attn", task_type="CAUSAL_LM")
    train(tiny_gpt2(), config, tmp_path / "other")
    assert "'c_attn'} not found" in refusal(base, adapter=str(tmp_path / "other"))


def test_modules_of_which_some_are_there(base: Path, adapter: Path) -> None:
    """A part that finds no module is not passed over."""
    more = {"base_model.model.model.layers.0.c_attn.lora_A.weight": torch.ones(8, 8)}
    edit_weights(adapter / WEIGHTS, **more)
    edit_json(adapter / CONFIG, target_modules=["q_proj", "c_attn"])
    line = refusal(base, adapter=str(adapter))
    assert "nothing like its base_model.model.model.layers.0.c_attn" in line


@pytest.mark.parametrize(
    ("task_type", "why"),
    [("CAUSAL_LM", "is of type mistral"), (None, "trained on a MistralForCausalLM")],
)
def test_same_shapes_in_another_architecture(
    tmp_path: Path, base: Path, task_type: str | None, why: str
) -> None:
    """Mistral's weights have the names and shapes of Llama's."""
    sizes = {
        key: getattr(tiny_llama().config, key)
        for key in (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
        )
    }
    MistralForCausalLM(MistralConfig(**sizes)).save_pretrained(tmp_path / "mistral")
    mistral = MistralForCausalLM.from_pretrained(tmp_path / "mistral")
    train(mistral, lora("q_proj", task_type=task_type), tmp_path / "other")
    assert why in refusal(base, adapter=str(tmp_path / "other"))
