"""Code that comes with a checkpoint runs only with --trust-remote-code."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from transformers import LlamaForCausalLM, ViTConfig

from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.loading import load_tokenizer

from .checkpoints import edit_json, load, refusal, save_llama

CONFIGURATION = """
from pathlib import Path
from transformers import LlamaConfig
Path({marker!r}).touch()
class MineConfig(LlamaConfig):
    model_type = "mine"
"""
MODELLING = """
from transformers import LlamaForCausalLM
from .configuration_mine import MineConfig
class MineForCausalLM(LlamaForCausalLM):
    config_class = MineConfig
"""
CODE = {
    "AutoConfig": "configuration_mine.MineConfig",
    "AutoModelForCausalLM": "modeling_mine.MineForCausalLM",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_llama(tmp_path / "llama")


@pytest.fixture
def marker(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A file that the model's code makes when it runs; nobody is asked for leave."""
    marker = tmp_path / "code-has-run"
    code = CONFIGURATION.format(marker=str(marker))
    (folder / "configuration_mine.py").write_text(code)
    (folder / "modeling_mine.py").write_text(MODELLING)
    edit_json(folder / "config.json", model_type="mine", auto_map=CODE)
    cache = str(tmp_path / "modules")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)
    monkeypatch.setattr(sys, "path", [*sys.path, cache])
    with mock.patch("builtins.input") as asked:
        yield marker
    asked.assert_not_called()


def test_code_does_not_run(folder: Path, marker: Path) -> None:
    """Without --trust-remote-code the model is refused, and nobody is asked."""
    assert "add --trust-remote-code" in refusal(folder)
    with pytest.raises(ModelError, match="add --trust-remote-code"):
        load_tokenizer(str(folder))
    assert not marker.exists()


def test_code_runs_when_trusted(folder: Path, marker: Path) -> None:
    """With --trust-remote-code the model's own class is used."""
    module = load(folder, trust_remote_code=True)
    assert type(module).__name__ == "MineForCausalLM"
    assert marker.exists()


def test_code_of_a_known_family_does_not_run(folder: Path, marker: Path) -> None:
    """Where transformers has the family its own class is used instead."""
    edit_json(folder / "config.json", model_type="llama")
    assert type(load(folder)) is LlamaForCausalLM
    assert not marker.exists()


def test_code_of_a_model_alone_does_not_run(folder: Path, marker: Path) -> None:
    """A known configuration may come with a causal model that transformers lacks."""
    ViTConfig().save_pretrained(folder)
    edit_json(folder / "config.json", auto_map=CODE)
    assert "add --trust-remote-code" in refusal(folder)
    assert not marker.exists()


def test_code_of_a_tokenizer_does_not_run(folder: Path, marker: Path) -> None:
    """A tokenizer's code needs leave as well."""
    edit_json(folder / "config.json", model_type="llama", auto_map=None)
    own = {"AutoTokenizer": ["configuration_mine.MineTokenizer", None]}
    settings = {"tokenizer_class": "MineTokenizer", "auto_map": own}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="add --trust-remote-code"):
        load_tokenizer(str(folder))
    assert not marker.exists()


class Touch:
    """Pickled, a call that makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_code_in_a_pickle_does_not_run(folder: Path, tmp_path: Path) -> None:
    """Weights in a pickle may be numbers only."""
    (folder / "model.safetensors").unlink()
    marker = tmp_path / "code-has-run"
    torch.save({"lm_head.weight": Touch(marker)}, folder / "pytorch_model.bin")
    assert "or that holds code, which is not run" in refusal(folder)
    assert not marker.exists()


def test_kernel_named_by_a_checkpoint_is_not_fetched(folder: Path) -> None:
    """A kernel on the hub is code: the name of one in config.json is passed over."""
    edit_json(folder / "config.json", _attn_implementation="someone/kernel")
    assert "/" not in load(folder).config._attn_implementation
