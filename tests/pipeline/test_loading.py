"""Loading a checkpoint: every weight is there, or one line says why not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, LlamaForCausalLM

from flowglass.datasets.catalog import MODELS
from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.hub import Origin
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.model import load_model

from .checkpoints import (
    SMALL,
    UP,
    WEIGHTS,
    edit_json,
    edit_weights,
    load,
    refusal,
    save_llama,
)
from .tiny_models import tiny_llama


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_llama(tmp_path / "llama")


def test_every_weight_is_as_saved(folder: Path) -> None:
    """A checkpoint comes back in eval mode, on a CPU in float32 unless asked."""
    module = load(folder)
    assert not module.training
    assert module.dtype == torch.float32
    saved = tiny_llama(dtype=torch.bfloat16).state_dict()
    assert all(torch.equal(w, saved[k].float()) for k, w in module.state_dict().items())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtype_is_as_asked(folder: Path, dtype: str) -> None:
    """--dtype sets the dtype of every weight."""
    module = load(folder, dtype=dtype, device="cpu")
    assert {str(w.dtype) for w in module.parameters()} == {f"torch.{dtype}"}


def test_unknown_dtype(folder: Path) -> None:
    """The dtypes there are get listed."""
    assert "dtype 'int8': auto, float32, float16" in refusal(folder, dtype="int8")


def test_bundled_model_loads_by_its_name() -> None:
    """A bundled model's name stands for its folder."""
    by_name = load("tiny-llama").state_dict()
    by_path = load(MODELS["tiny-llama"]).state_dict()
    assert all(torch.equal(by_path[key], weight) for key, weight in by_name.items())
    assert len(load_tokenizer("tiny-llama")) > 100


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """A path is not taken for a hub id."""
    assert "nowhere' does not exist" in refusal(tmp_path / "nowhere")


def test_file_for_a_folder(folder: Path) -> None:
    """A file is refused, with what to give."""
    assert "give the folder that it is in" in refusal(folder / "config.json")


def test_folder_without_a_configuration(tmp_path: Path) -> None:
    """An empty folder has no config.json."""
    assert "has no config.json" in refusal(tmp_path)


def test_folder_without_weights(folder: Path) -> None:
    """A configuration alone is no model."""
    (folder / WEIGHTS).unlink()
    assert "no weights: put model.safetensors beside it" in refusal(folder)


@pytest.mark.parametrize("n_bytes", [0, 5, 5000])
def test_truncated_weights(folder: Path, n_bytes: int) -> None:
    """The damaged file is named."""
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:n_bytes])
    assert "damaged weights in model.safetensors: " in refusal(folder)


def test_missing_weight(folder: Path) -> None:
    """transformers would draw the weight at random."""
    edit_weights(folder / WEIGHTS, **{UP: None})
    assert f"lacks weights, which would be random: {UP}" in refusal(folder)


def test_weight_of_another_shape(folder: Path) -> None:
    """Both shapes are named."""
    edit_weights(folder / WEIGHTS, **{UP: torch.zeros(3, 4)})
    assert f"{UP} is [3, 4], not [56, 32]" in refusal(folder)


def test_weight_that_the_configuration_leaves_out(folder: Path) -> None:
    """A bias that would not be used is not passed over."""
    bias = UP.replace("weight", "bias")
    edit_weights(folder / WEIGHTS, **{bias: torch.ones(56)})
    assert f"weights that its config.json leaves out: {bias}" in refusal(folder)


def test_head_for_another_task_may_stay(folder: Path) -> None:
    """A module that the language model does not have changes nothing in it."""
    edit_weights(folder / WEIGHTS, **{"v_head.weight": torch.ones(1, 32)})
    assert isinstance(load(folder), LlamaForCausalLM)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"model_type": "llama",', "not a valid JSON file"),
        ("[1, 2]", "no JSON object in its config.json"),
        ("{}", "no JSON object in its config.json"),
        ('{"vocab_size": 3}', "names no model_type"),
    ],
)
def test_broken_configuration(folder: Path, text: str, why: str) -> None:
    """config.json must be one, and of some model."""
    (folder / "config.json").write_text(text)
    assert why in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model_type": "llama9"}, "'llama9', which transformers"),
        ({"hidden_size": "big"}, "'hidden_size' expected int, got str (value: 'big')"),
        ({"num_attention_heads": 0, "head_dim": None}, "modulo by zero"),
    ],
)
def test_nonsense_in_the_configuration(
    folder: Path, changes: dict[str, Any], why: str
) -> None:
    """What cannot be a model's is said in one line too."""
    edit_json(folder / "config.json", **changes)
    assert why in refusal(folder)


def test_revision_of_a_folder(folder: Path) -> None:
    """A folder has no revisions, so that one asked for cannot be had."""
    assert "--revision is for a hub id" in refusal(folder, revision="v1")


def test_tokenizer_that_is_not_there(folder: Path) -> None:
    """The files to add are named."""
    with pytest.raises(ModelError, match=r"put tokenizer\.json and"):
        load_tokenizer(str(folder))


def test_broken_tokenizer(folder: Path) -> None:
    """The package tokenizers raises a bare Exception."""
    broken = {"version": "1.0", "added_tokens": [], "model": {"type": "none"}}
    (folder / "tokenizer.json").write_text(json.dumps(broken))
    settings = json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"})
    (folder / "tokenizer_config.json").write_text(settings)
    with pytest.raises(ModelError, match="has a broken tokenizer: "):
        load_tokenizer(str(folder))


def test_tokenizer_of_an_encoder(folder: Path) -> None:
    """What is wrong with the model is said first."""
    BertConfig(**SMALL).save_pretrained(folder)
    with pytest.raises(ModelError, match="is an encoder"):
        load_tokenizer(str(folder))


def test_loaded_module_has_no_origin() -> None:
    """An adapter or revision for a module that is loaded already is refused."""
    with pytest.raises(ModelError, match="loaded by its name"):
        load_model(tiny_llama(), origin=Origin(adapter="x"))
