"""Where a model's weights go, and which devices there are."""

from pathlib import Path
from typing import Any

import pytest
import torch

from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.placement import Placement, check_on_gpus

from .checkpoints import load, refusal, save_llama


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_llama(tmp_path / "llama")


@pytest.mark.parametrize("device", ["tpu", "meta", "cuda:99", "mps:7", ""])
def test_unknown_device(folder: Path, device: str) -> None:
    """A device that torch has not is named, with those it has."""
    line = refusal(folder, device=device)
    assert f"device {device!r} cannot be used here: choose from auto, cpu" in line


def test_split_without_a_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--device split needs GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "spreads a model over GPUs" in refusal(folder, device="split")


def test_split_without_accelerate(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--device split names the package that it needs."""
    home = "flowglass.pipeline.placement"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(f"{home}.is_accelerate_available", lambda: False)
    assert "pip install accelerate" in refusal(folder, device="split")


def test_split_beyond_the_gpus(folder: Path) -> None:
    """Weights that would be fetched for each use are refused."""
    module = load(folder)
    parts: Any = {"model.embed_tokens": 0, "model.layers.0": "cpu", "lm_head": "disk"}
    module.hf_device_map = parts
    with pytest.raises(ModelError, match=r"'m' does not fit.*layers\.0 and 1 more"):
        check_on_gpus("m", module)


def test_split_model_is_not_moved(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where transformers has placed the weights they stay."""
    monkeypatch.setattr(
        "flowglass.pipeline.loading.place",
        lambda device, *, quantized: Placement(torch.device("meta"), {"": "cpu"}),
    )
    monkeypatch.setattr("flowglass.pipeline.placement.OFFLOADED", ("disk",))
    assert load(folder, device="split").device.type == "cpu"
