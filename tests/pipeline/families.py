"""Tiny random causal language models of every architecture transformers can build.

`build` makes one from its configuration alone: no files, no hub. Every parameter is
random, norm gains and all biases included, so that a term which a computation forgets
shows in its numbers. The same seed gives the same values in every dtype.

A family is a `model_type`, or a variant of one: "falcon-7b" is a falcon. Families which
an older transformers does not have are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from .family_configs import COMMON, DEPTHS, OPTIONAL, ORDINARY, SPECIAL

_ACCEPTED = """
    gpt2 gpt2-upcast gpt_bigcode gpt_bigcode-mha gpt_neo gptj codegen gpt_neox
    gpt_neox-seq opt bloom falcon falcon-7b falcon-rw mpt ctrl xglm biogpt
    llama internlm mistral ministral ministral3 qwen2 qwen2-sliding qwen3 gemma gemma2
    gemma3_text gemma4_text gemma4_text-ple gemma4_text-moe gemma4_unified_text
    vaultgemma phi phi3 phi4_multimodal olmo olmo2 olmo3 stablelm stablelm-par
    starcoder2 granite granite_swa cohere cohere2 cohere_compass_text smollm3 glm glm4
    nemotron persimmon helium arcee apertus apertus1p5_text seed_oss exaone exaone4
    hunyuan_v1_dense ernie4_5 bitnet minicpm3 nanochat youtu cwm jais2 internlm3
    iquestcoder hyperclovax flint moshi
    mixtral qwen2_moe qwen3_moe phimoe olmoe flex_olmo granitemoe granitemoeshared
    granitemoe_swa cohere2_moe gpt_oss deepseek_v2 deepseek_v3 deepseek_v32
    glm4_moe glm4_moe_lite glm_moe_dsa hunyuan_v1_moe ernie4_5_moe afmoe aria_text beam
    kolibri1 laguna mimo_v2_flash minimax_m2 minimax_m3_vl_text solar_open dots1
    dots3_note_text axk1 axk2 exaone_moe hy_v3 mellum sarvam_mla sarvam_moe llama4_text
    dbrx axk2-sparse deepseek_v32-sparse glm_moe_dsa-sparse
    bailing_hybrid-fullattn granitemoehybrid-fullattn kimi_linear-fullattn
    lara_mini-fullattn lfm2-fullattn lfm2_moe-fullattn lfm3-fullattn
    qwen3_next-fullattn qwen3_5_text-fullattn qwen3_5_moe_text-fullattn
    mbart pegasus bigbird_pegasus blenderbot whisper
"""

_REFUSED = {
    "state space: no attention": "mamba mamba2 falcon_mamba rwkv xlstm",
    "hybrid: layers without attention": """
        bailing_hybrid bamba granitemoehybrid jamba kimi_linear lara_mini lfm2 lfm2_moe
        lfm3 nemotron_h olmo_hybrid qwen3_next qwen3_5_text qwen3_5_moe_text
        recurrent_gemma zamba zamba2""",
    "a state space beside the attention": "falcon_h1",
    "attends to later tokens": """
        bert bert-generation big_bird camembert cpmant data2vec-text electra ernie
        megatron-bert rembert roberta roberta-prelayernorm roc_bert roformer xlm
        xlm-roberta xlm-roberta-xl xlnet xmod""",
    "post-LN: each sum is normed, and the norm's output carried over": """
        bart blenderbot-small marian mvp plbart trocr openai-gpt opt-350m-postln""",
    "the norm's output, not its input, is carried over": """
        bloom-normed minimax minimax-fullattn""",
    "several residual streams": "gemma3n_text deepseek_v4 hy_v4 qwen4_exp_text",
    "streams beside the residual one": "prophetnet reformer",
    "layers that use the values of other layers": "gemma4_text-shared",
    "two softmaxes to a layer": "diffllama",
    "two attentions to a layer": "longcat_flash",
    "reads a mixture of earlier blocks' outputs": "inkling2_text inkling2_loop_text",
    "convolutions after attention and FFN": "inkling_text",
    "mixture of attentions": "jetmoe",
    "layers which run more than once": "dory hrm_text",
    "a learnt weight for every channel of the residual": "doge zaya",
    "the last layer's attention has a bias outside its linear": "gpt_neox_japanese",
    "more than a norm between the last layer and the unembedding": "modernbert-decoder",
}

# Registered as causal language models, and not here.
_UNBUILT = {
    "a model of images or sound too, whose text model is here by itself": """
        dots3_note fuyu gemma3 gemma3n gemma4 gemma4_unified got_ocr2 llama4
        moss_transcribe_diarize qwen3_5 qwen3_5_moe qwen4_exp""",
    "nests its text settings with those for images": "emu3 git mllama",
    "a GPT-2 by another name": "gpt-sw3",
    "a draft model: reads the keys of another": """
        gemma4_assistant gemma4_unified_assistant""",
    "predicts several codebooks at once": "musicgen musicgen_melody",
    "its tokens are bytes, which a second model groups": "blt",
}


def _known(families: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in families if _model_type(name) in CONFIG_MAPPING)


def _model_type(family: str) -> str:
    return SPECIAL.get(family, ORDINARY).model_type or family


def _by_family(reasons: Mapping[str, str]) -> dict[str, str]:
    return {
        family: why
        for why, families in reasons.items()
        for family in _known(families.split())
    }


FAMILIES: tuple[str, ...] = _known(_ACCEPTED.split())
REFUSED: dict[str, str] = _by_family(_REFUSED)
UNBUILT: dict[str, str] = _by_family(_UNBUILT)

# Their code fixes a dtype: of the scores in two of them, of xlnet's positions.
NO_FLOAT64 = frozenset({"gpt2-upcast", "xglm", "xlnet"})


def build(
    family: str,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    n_layers: int = 2,
) -> PreTrainedModel:
    """The family's tiny model, in eval mode, of n_layers or the fewest it needs."""
    config = tiny_config(family, n_layers)
    model = AutoModelForCausalLM.from_config(
        config, dtype=dtype, attn_implementation="eager"
    )
    randomise(model, seed)
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the default has no float64
    model.eval()
    return model


def tiny_config(family: str, n_layers: int = 2) -> PreTrainedConfig:
    """COMMON where the family's configuration has such a setting, then SPECIAL."""
    special = SPECIAL.get(family, ORDINARY)
    config_class = CONFIG_MAPPING[_model_type(family)]
    depth = max(n_layers, special.n_layers)
    settings = (
        dict(_common(config_class, depth))
        | dict(special.settings)
        | {name: _in_turn(kinds, depth) for name, kinds in special.per_layer.items()}
    )
    config = config_class(**settings)
    config.use_cache = False
    return config


def _common(
    config_class: type[PreTrainedConfig], depth: int
) -> Iterator[tuple[str, Any]]:
    """The settings any family gets, under the names that this class has for them."""
    defaults = config_class()
    names = config_class.attribute_map
    for wanted, value in (COMMON | dict.fromkeys(DEPTHS, depth)).items():
        name = names.get(wanted, wanted)
        if name not in vars(defaults):
            continue
        default = vars(defaults)[name]
        if default is None and wanted in OPTIONAL:
            continue
        yield name, value
    for name, default in vars(defaults).items():
        if name.endswith(("layer_types", "block_type", "block_types")) and default:
            yield name, _in_turn(dict.fromkeys(default), depth)


def _in_turn(kinds: Iterable[Any], depth: int) -> list[Any]:
    return (list(kinds) * depth)[:depth]


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw all that training would set: in float32, whatever the model's dtype."""
    generator = torch.Generator().manual_seed(seed)
    modules = model.modules()
    embeddings = {id(m.weight) for m in modules if isinstance(m, nn.Embedding)}
    for name, values in _trained(model):
        noise = torch.randn(values.shape, generator=generator)
        gain = bool((values == 1).all())  # else it is stored as gain - 1, from 0
        if gain or values.ndim < 2 or name.endswith("bias"):
            values.copy_(0.3 * noise + gain)
        elif id(values) in embeddings:
            values.copy_(0.6 * noise)
        else:  # a matrix keeps the scale of what it multiplies
            values.copy_(1.2 * noise / values.shape[-1] ** 0.5)


# Trained too, though not by gradients: what balances a router, a layer's scale.
TRAINED_BUFFERS = ("e_score_correction_bias", "expert_bias", "layer_scalar")


def _trained(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    for name, buffer in model.named_buffers():
        if name.endswith(TRAINED_BUFFERS):
            yield name, buffer
