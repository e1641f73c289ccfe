"""Tables about what states, neurons and writes mean, in tokens of the vocabulary."""

from .schema_corpus import LAYER, PROMPT_ID
from .table import FLOAT, INT, SMALL, TEXT, TINY, column, optional, table

EMBED_LAYER = column("layer", SMALL, "layer, from 0; -1 for the embedding")
EXPERT = optional("expert", SMALL, "expert, -1 if shared; null unless MoE")
NEURON = column("neuron", INT, "neuron of the FFN, or of its expert")
POSITION = column("position", INT, "position in the prompt")
PROMOTED = (
    column("sign", TINY, "+1 promoted, -1 suppressed"),
    column("rank", SMALL, "0 is the most promoted, or the most suppressed"),
    column("token_id", INT, "token in the vocabulary"),
    column("token", TEXT, "the token's text"),
    column("score", FLOAT, "what the write adds to the token's logit"),
)

NEURONS = table(
    "neurons",
    "One row per top neuron of a (layer, position).",
    [
        PROMPT_ID,
        LAYER,
        POSITION,
        column("rank", SMALL, "0 contributes most"),
        EXPERT,
        NEURON,
        column("contribution", FLOAT, "share of the step's whole that it brings"),
        column("activation", FLOAT, "what its weights are multiplied by"),
    ],
    sort="layer expert neuron prompt_id position",
    key="prompt_id layer position rank",
)

LENS = table(
    "lens",
    "One row per top token of a residual state, read through the unembedding.",
    [
        PROMPT_ID,
        EMBED_LAYER,
        column("state", TEXT, "embed, mid or post"),
        POSITION,
        column("rank", SMALL, "0 is the likeliest"),
        column("token_id", INT, "token in the vocabulary"),
        column("token", TEXT, "the token's text"),
        column("logit", FLOAT, "its logit"),
        column("prob", FLOAT, "its probability"),
        optional("rank_before", INT, "its rank at the state before; null at the first"),
    ],
    sort="prompt_id layer state position rank",
)

WRITES = table(
    "writes",
    "One row per token that a write promotes or suppresses.",
    [
        PROMPT_ID,
        LAYER,
        column("component", TEXT, "attn, ffn, head or neuron"),
        EXPERT,
        column("index", INT, "head or neuron; 0 for attn and ffn"),
        POSITION,
        *PROMOTED,
    ],
    sort="layer component expert index prompt_id position sign rank",
)

LOGIT_ATTRIBUTION = table(
    "logit_attribution",
    "One row per component's write at a target: what it adds to a token's logit.",
    [
        PROMPT_ID,
        column("target", INT, "position that predicts"),
        column("role", TEXT, "predicted, answer or distractor"),
        column("token_id", INT, "the token whose logit it is"),
        EMBED_LAYER,
        column("component", TEXT, "embed, head, ffn, neuron or bias"),
        EXPERT,
        column("index", INT, "head or neuron; 0 otherwise"),
        column("value", FLOAT, "logits; all but neurons add up to the token's logit"),
    ],
    sort="prompt_id target role layer component expert index",
)

NEURON_VOCAB = table(
    "neuron_vocab",
    "One row per token that a neuron's weights promote or suppress, once per model.",
    [LAYER, EXPERT, NEURON, *PROMOTED],
    sort="layer expert neuron sign rank",
)
