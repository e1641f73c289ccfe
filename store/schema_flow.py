"""Tables about the flow of information: edges, their sums, routes, importance."""

from .schema_corpus import LAYER, PROMPT_ID
from .table import BLOB, FLOAT, INT, SMALL, TEXT, column, optional, table

STEPS = ("attn", "ffn", "block")
"""Values of `step`: the two steps of a sequential block, or the one of a parallel."""

KINDS = ("attn", "resid", "ffn")
"""Values of `kind`: what a part is."""

COMPONENTS = ("head", "ffn")
"""Values of `component` where routes are summed."""

STEP = column("step", TEXT, "attn, ffn, or block (a parallel block)")
TARGET = column("target", INT, "position whose prediction is traced")
EDGE_KEY = (
    LAYER,
    STEP,
    column("kind", TEXT, "kind of part: attn, resid or ffn"),
    optional("head", SMALL, "query head; null unless attn"),
    column("query", INT, "position written to"),
    column("key", INT, "position read from; = query unless attn"),
)

EDGES = table(
    "edges",
    "One row per part of a step whose contribution reaches the cutoff.",
    [
        PROMPT_ID,
        *EDGE_KEY,
        column("contribution", FLOAT, "share of the step's whole that it brings"),
        optional("attention", FLOAT, "attention probability; null unless attn"),
    ],
    sort="layer head prompt_id query key",
    key="prompt_id layer step kind head query key",
)

STEPS_TABLE = table(
    "steps",
    "One row per (layer, step, query): the shares of all its parts, exact.",
    [
        PROMPT_ID,
        LAYER,
        STEP,
        column("query", INT, "position written to"),
        column("resid", FLOAT, "contribution of the residual stream"),
        column("attn", FLOAT, "contribution of all heads and keys; 0 in an ffn step"),
        column("ffn", FLOAT, "contribution of the FFN; 0 in an attn step"),
        column("bias", FLOAT, "contribution of constants, outside the sum of 1"),
        column("below_cutoff", FLOAT, "contribution of the parts not in edges"),
    ],
    sort="prompt_id layer step query",
)

HEADS = table(
    "heads",
    "One row per head of a prompt: how much it brings, and from what kind of source.",
    [
        PROMPT_ID,
        LAYER,
        column("head", SMALL, "query head"),
        column("contribution", FLOAT, "mean over queries of the sum over keys"),
        column("on_first", FLOAT, "of it, from key 0"),
        column("on_self", FLOAT, "of it, from the query itself"),
        column("on_previous", FLOAT, "of it, from the position before"),
        column("on_same_token", FLOAT, "of it, from the same token, earlier"),
        column("on_after_same", FLOAT, "of it, from behind the same token: induction"),
        column("on_same_word", FLOAT, "of it, from an earlier piece of the word"),
        column("on_delimiter", FLOAT, "of it, from only punctuation or a newline"),
    ],
    sort="layer head prompt_id",
)

ROUTES = table(
    "routes",
    "One row per edge of a target's route at the cutoff.",
    [
        PROMPT_ID,
        TARGET,
        *EDGE_KEY,
        column("contribution", FLOAT, "as in edges"),
        column("survives_at", FLOAT, "it is in the route at every tau below this"),
    ],
    sort="prompt_id target layer head query key",
    key="prompt_id target layer step kind head query key",
)

IMPORTANCE = table(
    "importance",
    "One row per component in a target's route.",
    [
        PROMPT_ID,
        TARGET,
        LAYER,
        column("component", TEXT, "head or ffn"),
        column("index", INT, "head; 0 for ffn"),
        column("contribution", FLOAT, "sum over its edges in the route at the cutoff"),
        column("survives_at", FLOAT, "largest of those edges: in the route below this"),
    ],
    sort="layer component index prompt_id target",
)

TENSORS = table(
    "tensors",
    "One row per head of a prompt: its whole triangles (only --tensors dense).",
    [
        PROMPT_ID,
        LAYER,
        column("head", SMALL, "query head"),
        column("n", INT, "positions: each triangle has n * (n + 1) / 2 values"),
        column("attention", BLOB, "lower triangle, row-major, float16 or float32"),
        column("contribution", BLOB, "lower triangle, row-major, float16 or float32"),
    ],
    sort="prompt_id layer head",
)
