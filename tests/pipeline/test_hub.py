"""The hub's answers and the command's options, each said in one line."""

import sys
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from unittest import mock

import pytest
import torch
from huggingface_hub import errors as hub_errors

from flowglass.pipeline.hub import unloadable
from flowglass.store.cli import main

from .checkpoints import refusal


def refused_by_hub(error: Exception, **origin: Any) -> str:
    """The line where the hub answers a download like that."""
    with mock.patch("transformers.utils.hub.hf_hub_download", side_effect=error):
        return refusal("someone/model", **origin)


def answer(kind: type[hub_errors.HfHubHTTPError]) -> Exception:
    return kind("401: see the documentation", response=mock.MagicMock())


def test_gated_model() -> None:
    """The way to get at it is named."""
    line = refused_by_hub(answer(hub_errors.GatedRepoError))
    assert "'someone/model' is gated: accept its terms at https://" in line


def test_model_that_is_not_on_the_hub() -> None:
    """It may be private, so that logging in is named too."""
    line = refused_by_hub(answer(hub_errors.RepositoryNotFoundError))
    assert "is not on the hub, or is private" in line


def test_revision_that_is_not_there() -> None:
    """The revision is named."""
    error = answer(hub_errors.RevisionNotFoundError)
    assert "no revision 'v9'" in refused_by_hub(error, revision="v9")


def test_hub_that_breaks_off() -> None:
    """What the hub says is passed on."""
    line = refused_by_hub(answer(hub_errors.HfHubHTTPError))
    assert "cannot be had from the hub: 401" in line


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer it is the connection, if nobody has forbidden to ask."""
    error = hub_errors.LocalEntryNotFoundError("no connection")
    assert "(HF_HUB_OFFLINE is set)" in refused_by_hub(error)
    monkeypatch.setattr("flowglass.pipeline.hub.is_offline_mode", lambda: False)
    assert "huggingface.co cannot be reached; a model is" in refused_by_hub(error)


def test_name_that_is_nothing() -> None:
    """A name with a space is neither a path nor a hub id; a slip is understood."""
    assert "neither a folder nor a hub id" in refusal("my model")
    assert "did you mean tiny-llama" in refusal("tiny-lama")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "--device split"),
        (ModuleNotFoundError(name="einops"), "needs the package einops: pip install"),
        (UnpicklingError("weights_only"), "convert them to safetensors"),
        (RuntimeError("first\nsecond"), "cannot be loaded: first"),
        (KeyError("vocab"), "cannot be loaded: KeyError('vocab')"),
    ],
)
def test_other_errors(error: Exception, why: str) -> None:
    """What else comes up has a line with a remedy, or its own first line."""
    line = str(unloadable("model", "m", error))
    assert line.startswith("model 'm' ")
    assert why in line


@pytest.mark.parametrize(
    "options",
    [
        ["--model=someone/model"],
        ["--model=tiny-gpt2", "--device=cuda:99"],
        ["--model=tiny-gpt2", "--revision=v1"],
        ["--model=tiny-gpt2", "--adapter=./nowhere"],
    ],
)
def test_command_ends_with_one_line(
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`flowglass sweep` says what is wrong in one line, and ends with 2."""
    store = tmp_path / "store"
    argv = ["flowglass", "sweep", "--data=ioi", f"--store={store}", *options]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not store.exists()
