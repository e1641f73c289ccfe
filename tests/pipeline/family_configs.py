"""What the tiny models of families.py are configured with: data, no code.

COMMON goes into every configuration that has a setting of the name, optional biases
included: biases are where decompositions go wrong. SPECIAL is what a family needs
beyond that, or differently, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VOCAB = 61
WIDTH = 32
HEADS = 4
KV_HEADS = 2
CONTEXT = 64


def _each(names: str, value: Any) -> dict[str, Any]:
    return dict.fromkeys(names.split(), value)


COMMON: Mapping[str, Any] = {
    **{"vocab_size": VOCAB, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
    **_each("max_position_embeddings max_seq_len n_positions n_ctx", CONTEXT),
    **_each("hidden_size n_embd d_model word_embed_proj_dim", WIDTH),
    **_each("num_attention_heads n_head n_heads num_heads linear_num_heads", HEADS),
    **_each("encoder_attention_heads decoder_attention_heads", HEADS),
    **_each("num_key_value_heads num_kv_heads", KV_HEADS),
    "head_dim": 12,  # not WIDTH / HEADS, so that a wrong reshape shows
    **{"query_pre_attn_scalar": 10, "rotary_dim": 4, "expansion_ratio": 2},
    **_each("intermediate_size n_inner ffn_dim ffn_hidden_size dff dim_ff", 40),
    **_each("encoder_ffn_dim decoder_ffn_dim d_inner feed_forward_size", 40),
    # Shorter than the sequences of the tests.
    **{"sliding_window": 5, "sliding_window_size": 5, "window_size": 4},
    # Mixtures of experts; the first layer is dense in a model that can have one.
    **_each("num_experts num_local_experts n_routed_experts", 6),
    **_each("num_experts_per_tok moe_topk top_k_experts", 2),
    **_each("moe_intermediate_size expert_ffn_hidden_size", 24),
    **_each("moe_shared_expert_intermediate_size shared_intermediate_size", 20),
    **_each("shared_expert_intermediate_size shared_experts_intermediate_size", 20),
    **_each("n_shared_experts num_shared_experts", 1),
    **_each("first_k_dense_replace num_dense_layers topk_group", 1),
    "n_group": 2,
    # Queries, keys and values through a low rank; an index of keys (DeepSeek).
    **{"q_lora_rank": 20, "kv_lora_rank": 24, "v_head_dim": 6},
    **{"qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "qk_head_dim": 12},
    **{"index_n_heads": 2, "index_head_dim": 8},
    # The other mixers of hybrids: linear attention, and Mamba of twice the width.
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 2},
    **_each("linear_head_dim linear_key_head_dim linear_value_head_dim", 8),
    **{"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_d_ssm": 64},
    **{"mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 1, "ssm_state_size": 8},
    "use_mamba_kernels": False,
    # Multipliers and caps that are felt: by default some are 1 and most caps are far.
    **{"embedding_multiplier": 3.0, "residual_multiplier": 0.4},
    **{"attention_multiplier": 0.4, "logits_scaling": 2.0, "logit_scale": 0.5},
    **{"attn_logit_softcapping": 4.0, "final_logit_softcapping": 6.0},
    **_each(
        "add_bias_linear attention_bias attention_out_bias bias decoder_bias", True
    ),
    **_each("lm_head_bias mlp_bias norm_bias projectors_bias qkv_bias", True),
    **_each("use_bias use_qkv_bias", True),
    **_each("activation_dropout attention_dropout attention_probs_dropout_prob", 0.0),
    **_each("attn_pdrop dropout dropout_p embd_pdrop embed_dropout emb_pdrop", 0.0),
    **_each("embedding_dropout hidden_dropout hidden_dropout_prob mlp_dropout", 0.0),
    **_each("resid_dropout resid_pdrop residual_dropout layerdrop", 0.0),
    **_each("router_jitter_noise input_jitter_noise", 0.0),
}

# Left alone where a configuration's default is None, which means "without".
OPTIONAL = {
    *("head_dim", "q_lora_rank", "rotary_dim", "sliding_window", "logit_scale"),
    *("attn_logit_softcapping", "final_logit_softcapping"),
}
DEPTHS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers"),
    *("decoder_layers", "num_encoder_layers", "num_decoder_layers"),
)


@dataclass(frozen=True)
class Special:
    """What one family needs beyond COMMON, or differently."""

    why: str
    model_type: str  # "" where it is the family's name
    settings: Mapping[str, Any]
    per_layer: Mapping[str, tuple[Any, ...]]  # settings with a value for every layer
    n_layers: int  # the fewest that show every kind of layer


def _special(
    why: str,
    *,
    of: str = "",
    per_layer: Mapping[str, tuple[Any, ...]] | None = None,
    n_layers: int = 0,
    **settings: Any,
) -> Special:
    return Special(why, of, settings, per_layer or {}, n_layers)


ORDINARY = _special("COMMON is all it needs")

_FULL = "full_attention"
_SLIDING = "sliding_attention"


def _layers(*kinds: str) -> dict[str, tuple[str, ...]]:
    return {"layer_types": kinds}


def _attention_only(model_type: str, **settings: Any) -> Special:
    why = "a hybrid without its other mixer"
    return _special(why, of=model_type, per_layer=_layers(_FULL), **settings)


_HYBRIDS = (
    *("granitemoehybrid", "lara_mini", "lfm2", "lfm2_moe", "lfm3"),
    *("minimax", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_next"),
)

# head_dim is the rotary part of a head, and every head has keys of its own.
_LATENT = {"head_dim": 4, "num_key_value_heads": HEADS}


def _latent(*, of: str = "", **settings: Any) -> Special:
    return _special("keys and values of low rank", of=of, **(_LATENT | settings))


def _gemma4(
    why: str, *, of: str = "gemma4_text", n_layers: int = 0, **more: Any
) -> Special:
    inputs = {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": VOCAB}
    # The global width is its full layers'; head_dim is the sliding ones'.
    settings: dict[str, Any] = {"global_head_dim": 16, **inputs, **more}
    return _special(why, of=of, n_layers=n_layers, **settings)


SPECIAL: Mapping[str, Special] = {
    **_each(
        "axk1 axk2 bailing_hybrid deepseek_v2 deepseek_v3 deepseek_v32 "
        "glm4_moe_lite glm_moe_dsa kimi_linear longcat_flash sarvam_mla youtu",
        _latent(),
    ),
    **_each(
        "hunyuan_v1_dense hunyuan_v1_moe ministral",
        _special("has no width of its heads by default, and needs one", head_dim=12),
    ),
    # Variants of a model_type.
    **{f"{hybrid}-fullattn": _attention_only(hybrid) for hybrid in _HYBRIDS},
    "axk2-sparse": _latent(of="axk2", index_topk=4),
    "bailing_hybrid-fullattn": _attention_only("bailing_hybrid", **_LATENT),
    "bloom-normed": _special(
        "what is carried over is the norm's output",
        of="bloom",
        apply_residual_connection_post_layernorm=True,
    ),
    "deepseek_v32-sparse": _latent(of="deepseek_v32", index_topk=4),
    "falcon": _special("as Falcon-40B", new_decoder_architecture=True),
    "falcon-7b": _special("parallel, one key for all heads", of="falcon"),
    "falcon-rw": _special(
        "sequential, with ALiBi",
        of="falcon",
        **{"parallel_attn": False, "multi_query": False, "num_kv_heads": HEADS},
        alibi=True,
    ),
    "gemma4_text": _gemma4("a dense FFN"),
    "gemma4_unified_text": _gemma4("a dense FFN", of="gemma4_unified_text"),
    "gemma4_text-moe": _gemma4("experts beside a dense FFN", enable_moe_block=True),
    "gemma4_text-ple": _gemma4(
        "an embedding in every layer", hidden_size_per_layer_input=12
    ),
    "gemma4_text-shared": _gemma4(
        "the last two layers use keys and values of the first two",
        hidden_size_per_layer_input=12,
        num_kv_shared_layers=2,
        n_layers=4,
    ),
    "glm_moe_dsa-sparse": _latent(of="glm_moe_dsa", index_topk=4),
    "gpt2-upcast": _special(
        "scores in float32, scaled by layer",
        of="gpt2",
        **{"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True},
    ),
    "gpt_bigcode-mha": _special(
        "a key for every head", of="gpt_bigcode", multi_query=False
    ),
    "gpt_neox-seq": _special("sequential", of="gpt_neox", use_parallel_residual=False),
    "internlm": _special(
        "a Llama with biases in its attention alone", of="llama", mlp_bias=False
    ),
    "kimi_linear-fullattn": _attention_only("kimi_linear", **_LATENT),
    "llama": _special("as released: no biases", attention_bias=False, mlp_bias=False),
    "opt-350m-postln": _special("norms last", of="opt", do_layer_norm_before=False),
    "qwen2-sliding": _special(
        "its window is off by default",
        of="qwen2",
        use_sliding_window=True,
        per_layer=_layers(_SLIDING, _FULL),
    ),
    "stablelm-par": _special(
        "parallel, with norms of queries and keys",
        of="stablelm",
        **{"use_parallel_residual": True, "qk_layernorm": True},
    ),
    # Where COMMON alone builds nothing, or something other than meant.
    "bamba": _special("attention in no layer by default", attn_layer_indices=[1]),
    "cohere_compass_text": _special(
        "rotary settings for each kind of layer, in parts for three axes",
        rope_parameters={
            kind: {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [2, 1, 1],
            }
            for kind in (_SLIDING, _FULL)
        },
        per_layer=_layers(_SLIDING, _FULL),
    ),
    "dbrx": _special(
        "nests the settings of its two halves",
        attn_config={"kv_n_heads": KV_HEADS, "rope_theta": 1e4, "clip_qkv": 8.0},
        ffn_config={"ffn_hidden_size": 24, "moe_top_k": 2},
    ),
    "deepseek_v4": _special("low ranks after attention", o_groups=2, o_lora_rank=8),
    "dots3_note_text": _latent(
        head_dim=12,
        **{"swa_num_attention_heads": HEADS, "swa_num_key_value_heads": HEADS},
        **{"swa_q_lora_rank": 20, "swa_kv_lora_rank": 24, "swa_head_dim": 12},
        **{"swa_qk_nope_head_dim": 8, "swa_v_head_dim": 6},
    ),
    "gemma3n_text": _special(
        "its 15 last layers would share keys",
        **{"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 12},
        **{"vocab_size_per_layer_input": VOCAB, "laurel_rank": 8},
    ),
    "gpt_neo": _special(
        "names the kinds of its layers in a way of its own",
        per_layer={"attention_types": ([["global"], 1], [["local"], 1])},
    ),
    "granitemoehybrid": _special(
        "attention in no layer by default",
        per_layer=_layers("linear_attention", _FULL),
    ),
    "helium": _special("its heads are d_model / n_heads wide", head_dim=8),
    **_each(
        "inkling_text inkling2_text inkling2_loop_text",
        _special(
            "sliding layers have heads of their own",
            **{"swa_num_attention_heads": HEADS, "swa_num_key_value_heads": KV_HEADS},
            **{"swa_head_dim": 12, "unpadded_vocab_size": VOCAB},
        ),
    ),
    "jamba": _special(
        "attention in one layer of eight by default",
        **{"attn_layer_period": 2, "attn_layer_offset": 1},
    ),
    **_each(
        "lfm2 lfm2_moe",
        _special("no convolutions by default", per_layer=_layers("conv", _FULL)),
    ),
    "longcat_flash": _latent(zero_expert_num=2),
    "mamba2": _special("heads share twice the width", head_dim=16),
    "minicpm3": _latent(dim_model_base=16),
    "nemotron_h": _special("four kinds of layers", n_layers=4),
    "phi4_multimodal": _special(
        "builds towers for images and for sound",
        vision_config={
            **{"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2},
            **{"num_attention_heads": 1, "crop_size": 28, "image_size": 28},
        },
        audio_config={
            **{"hidden_size": 8, "intermediate_size": 8, "num_blocks": 2},
            **{"num_attention_heads": 1, "ext_pw_out_channel": 8},
            **{"depthwise_separable_out_channel": 8, "nemo_conv_channels": 8},
        },
    ),
    "qwen4_exp_text": _special(
        "needs an indexer",
        **{"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 12},
        **{"indexer_budget": 8, "indexer_compress_ratio": 2, "hc_lowrank": 8},
    ),
    "reformer": _special(
        "causal only as a decoder",
        **{"is_decoder": True, "axial_pos_embds": False},
        **{"attention_head_size": 8, "num_buckets": 2},
    ),
    "roc_bert": _special(
        "embeds shapes and sounds too",
        **{"pronunciation_vocab_size": VOCAB, "pronunciation_embed_dim": 8},
        **{"shape_vocab_size": VOCAB, "shape_embed_dim": 8},
    ),
    "xmod": _special("adapters for each language", default_language="en_XX"),
    "zamba": _special("hybrid layers share weights: two of them", n_layers=4),
    "zaya": _special("takes one expert", num_experts_per_tok=1, router_hidden_size=16),
}
