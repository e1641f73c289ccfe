"""`flowglass check`: what it finds, and how it refuses."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertConfig

from flowglass.pipeline.check import check
from flowglass.pipeline.check_report import notes, verdict
from flowglass.pipeline.model import prepare

from .command_line import flowglass, refused
from .pipeline.families import build
from .pipeline.tiny_models import tiny_gpt2, tiny_llama


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama"])
def test_a_bundled_model_closes(name: str) -> None:
    """The anatomy as a tree, the closure by step, and the verdict."""
    done = flowglass("check", name)
    assert done.returncode == 0, done.stderr
    assert f"{name} can be decomposed: closure" in done.stdout
    assert "attention" in done.stdout
    assert "c_proj" in done.stdout or "down_proj" in done.stdout
    for step in ("attn", "ffn", "neuron"):
        assert f"\n{step} " in done.stdout


def test_json_has_everything(tmp_path: Path) -> None:
    """A folder without a tokenizer is enough; the numbers are for machines too."""
    build("qwen2_moe").save_pretrained(tmp_path)
    done = flowglass("check", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["closes"] is True
    assert found["closure"] == max(s["closure"] for s in found["closures"].values())
    assert set(found["closures"]) == {"attn", "ffn", "neuron"}
    assert "shared expert gated by token" in found["special"]
    assert [writer["name"] for writer in found["layers"][0]["writers"]] == [
        "self_attn.o_proj",
        "mlp.experts",
        "mlp.shared_expert.down_proj",
    ]


def test_a_refusal_is_json_too(tmp_path: Path) -> None:
    """One document with the reason, whatever happens; the line for people stays."""
    build("mamba").save_pretrained(tmp_path)
    done = flowglass("check", tmp_path, "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert found["closes"] is False
    assert "no softmax attentions" in found["reason"]
    assert found["reason"] in done.stderr


def test_a_mixture_of_experts_in_float64(tmp_path: Path) -> None:
    """Transformers' default way to run experts has no float64; ours has."""
    build("mixtral").save_pretrained(tmp_path)
    done = flowglass("check", tmp_path, "--dtype", "float64", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["closure"] < 1e-12


def test_a_model_that_overflows_is_told_of(tmp_path: Path) -> None:
    """Not as a fault of its parts, but with the dtype and what to do."""
    model = tiny_llama(dtype=torch.float16)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.fill_(6e4)
    model.save_pretrained(tmp_path)
    line = refused("check", tmp_path, "--dtype", "float16")
    assert "NaN or infinite logits in float16" in line


def test_a_model_that_cannot_run_is_told_of(tmp_path: Path) -> None:
    """What its own code says, in one line."""
    build("xglm").save_pretrained(tmp_path)
    line = refused("check", tmp_path, "--dtype", "float64")
    assert "XGLMForCausalLM cannot be run in float64" in line


def test_a_model_that_does_not_close_is_said_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The report stands, with the step and layer to blame, and the exit code is 2."""
    module = tiny_llama()
    # Not on the seven tokens that the anatomy is found with.
    module.model.layers[1].register_forward_hook(
        lambda _, __, out: out + 0.01 * (out.shape[1] != 7)
    )
    loaded = prepare(module, name="broken")
    report = check(loaded)
    assert not report.closes
    assert "cannot be decomposed: step ffn of layer 1" in verdict(report)
    monkeypatch.setattr("flowglass.pipeline.model.load_model", lambda *_, **__: loaded)
    assert flowglass("check", "broken").returncode == 2


def test_half_precision_is_told_of() -> None:
    """What rounding could hide is in the notes."""
    report = check(prepare(tiny_gpt2(dtype=torch.bfloat16), name="half"))
    assert report.closes
    assert any("check in float32 too" in note for note in notes(report))


def test_nan_in_a_weight_is_refused(tmp_path: Path) -> None:
    """The message names the weight."""
    model = tiny_llama()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = torch.nan
    model.save_pretrained(tmp_path)
    assert "NaN or infinite weights in model.layers.1.mlp.up_proj" in refused(
        "check", tmp_path
    )


def test_a_bare_encoder_is_refused(tmp_path: Path) -> None:
    """It says what it is."""
    config = BertConfig(
        vocab_size=48,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=40,
    )
    AutoModel.from_config(config).save_pretrained(tmp_path)
    assert "encoder" in refused("check", tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    """A configuration alone is no model."""
    tiny_llama().config.save_pretrained(tmp_path)
    assert "but no weights" in refused("check", tmp_path)


def test_an_adapter_for_another_model_is_refused(tmp_path: Path) -> None:
    """Its weights do not fit."""
    from peft import LoraConfig, get_peft_model

    other = tiny_gpt2()
    lora = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    get_peft_model(other, lora).save_pretrained(tmp_path)
    line = refused("check", "tiny-llama", "--adapter", tmp_path)
    assert str(tmp_path) in line


def test_a_state_space_model_is_refused(tmp_path: Path) -> None:
    """The layer and its parts are named."""
    build("mamba").save_pretrained(tmp_path)
    assert "MambaBlock) has no softmax attentions" in refused("check", tmp_path)
