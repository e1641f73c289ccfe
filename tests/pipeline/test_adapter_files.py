"""A folder or a name that is no adapter, or not one that peft understands."""

import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from huggingface_hub import errors as hub_errors
from peft import LoraConfig, get_peft_model

from flowglass.pipeline.errors import ModelError

from .checkpoints import edit_json, load, refusal
from .tiny_models import tiny_llama

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder of a tiny Llama."""
    tiny_llama().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """The folder of a LoRA adapter for it."""
    config = LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
    adapted = get_peft_model(tiny_llama(), config)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    return tmp_path / "adapter"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"peft_type": "NEW"}, "the type 'NEW', which peft"),
        ({"new_option": 3}, "the option 'new_option', which peft"),
        ({"task_type": "SEQ_CLS"}, "was trained for SEQ_CLS"),
        ({"peft_type": None}, "has a broken adapter_config.json: KeyError"),
    ],
)
def test_configuration_that_peft_would_cut_short(
    base: Path, adapter: Path, changes: dict[str, Any], why: str
) -> None:
    """What peft does not understand it drops with a warning; here it is refused."""
    edit_json(adapter / CONFIG, **changes)
    assert why in refusal(base, adapter=str(adapter))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (WEIGHTS, None, "has no weights: adapter_model.safetensors or"),
        (WEIGHTS, b"junk", "damaged weights in adapter_model.safetensors"),
        (CONFIG, None, "has no adapter_config.json: it is no PEFT adapter"),
        (CONFIG, b"{", "has a broken adapter_config.json"),
        (CONFIG, b"[]", "has a broken adapter_config.json"),
    ],
)
def test_damaged_adapter(
    base: Path, adapter: Path, name: str, content: bytes | None, why: str
) -> None:
    """Both files are needed, whole."""
    (adapter / name).unlink()
    if content is not None:
        (adapter / name).write_bytes(content)
    assert why in refusal(base, adapter=str(adapter))


def test_adapter_that_is_not_there(base: Path, tmp_path: Path) -> None:
    """A path is not taken for a hub id."""
    line = refusal(base, adapter=str(tmp_path / "nowhere"))
    assert "adapter folder '" in line
    assert "does not exist" in line


def test_adapter_that_is_not_on_the_hub(base: Path) -> None:
    """The hub's answers are told as for a model."""
    missing = hub_errors.RepositoryNotFoundError("404", response=mock.MagicMock())
    with mock.patch(
        "flowglass.pipeline.adapter.snapshot_download", side_effect=missing
    ):
        line = refusal(base, adapter="someone/lora")
    assert "adapter 'someone/lora' is not on the hub, or is private" in line
    assert "an adapter is a folder or a hub id" in line


def test_adapter_as_the_model(adapter: Path) -> None:
    """transformers would load the base that the adapter names, without merging it."""
    assert "give its base as --model" in refusal(adapter)


def test_without_peft(
    base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra to install is named."""
    monkeypatch.setitem(sys.modules, "peft", None)
    line = refusal(base, adapter=str(adapter))
    assert "needs peft: pip install 'flowglass[adapters]'" in line


def test_adapter_is_looked_at_before_the_weights(base: Path, tmp_path: Path) -> None:
    """A large model is not read in vain."""
    (base / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="adapter folder"):
        load(base, adapter=str(tmp_path / "nowhere"))
