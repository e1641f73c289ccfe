"""What a configuration says: no decoder, or quantised weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    BartConfig,
    BartForCausalLM,
    BertConfig,
    BertLMHeadModel,
    DistilBertConfig,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    ViTConfig,
)

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

SMALL_BART = {
    "vocab_size": 48,
    "d_model": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_llama(tmp_path / "llama")


def test_encoder(tmp_path: Path) -> None:
    """BERT loads as a language model, but its tokens see the later ones."""
    BertLMHeadModel(BertConfig(**SMALL)).save_pretrained(tmp_path)
    assert "is an encoder (bert): its tokens read later" in refusal(tmp_path)


def test_encoder_without_a_causal_class(folder: Path) -> None:
    """DistilBERT has no causal language model in transformers."""
    DistilBertConfig().save_pretrained(folder)
    assert "is an encoder (distilbert)" in refusal(folder)


@pytest.mark.parametrize("config", [T5Config(), BartConfig()])
def test_encoder_decoder(folder: Path, config: Any) -> None:
    """T5 and BART read two texts."""
    config.save_pretrained(folder)
    assert "is an encoder-decoder" in refusal(folder)


def test_model_of_something_else(folder: Path) -> None:
    """A model of images is no language model."""
    ViTConfig().save_pretrained(folder)
    assert "'vit', of which transformers" in refusal(folder)


@pytest.mark.parametrize(
    "made",
    [
        lambda: BertLMHeadModel(BertConfig(is_decoder=True, **SMALL)),
        lambda: BartForCausalLM(BartConfig(**SMALL_BART)),
        lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL)),
    ],
    ids=["bert", "bart", "gpt_neox"],
)
def test_decoder_of_such_a_family(tmp_path: Path, made: Any) -> None:
    """A BERT or BART that is a decoder loads, and a decoder that has is_decoder."""
    made().save_pretrained(tmp_path)
    assert not load(tmp_path).config.is_encoder_decoder


def test_quantised_by_an_unknown_method(folder: Path) -> None:
    """transformers would take the quantised numbers for the weights."""
    edit_json(folder / "config.json", quantization_config={"quant_method": "q9"})
    assert "quantised by 'q9', which transformers" in refusal(folder)


def test_quantised_by_a_package_that_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package to install is named."""
    home = "transformers.quantizers.quantizer_bnb_4bit.is_bitsandbytes_available"
    monkeypatch.setattr(home, lambda: False)
    quantisation = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    edit_json(folder / "config.json", quantization_config=quantisation)
    assert "pip install -U bitsandbytes" in refusal(folder)


def test_weights_that_can_be_multiplied_out_are(tmp_path: Path) -> None:
    """FP8 weights are read as plain ones, times the scale of their block."""
    config = LlamaConfig(**SMALL | {"tie_word_embeddings": True})
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    name = "model.layers.0.self_attn.o_proj.weight"
    numbers = torch.eye(32).to(torch.float8_e4m3fn)
    scaled = {name: numbers, f"{name}_scale_inv": torch.full((2, 2), 0.5)}
    edit_weights(tmp_path / WEIGHTS, **scaled)
    quantisation = {"quant_method": "fp8", "weight_block_size": [16, 16]}
    edit_json(tmp_path / "config.json", quantization_config=quantisation)
    layer: Any = load(tmp_path).get_submodule("model.layers.0.self_attn.o_proj")
    assert type(layer) is nn.Linear
    assert torch.equal(layer.weight, 0.5 * torch.eye(32))


def test_scales_without_a_method_are_missed(folder: Path) -> None:
    """Quantised weights are not taken for plain ones where config.json forgets them."""
    edit_weights(folder / WEIGHTS, **{f"{UP}_scale_inv": torch.ones(1, 1)})
    assert "config.json leaves out: " in refusal(folder)
