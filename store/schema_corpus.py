"""Tables about the corpus: runs, prompts, tokens, targets, and sums over them."""

from .table import (
    BIG,
    BOOL,
    DOUBLE,
    FLOAT,
    INT,
    SMALL,
    TEXT,
    TEXTS,
    TIME,
    column,
    optional,
    table,
)

PROMPT_ID = column("prompt_id", INT, "place of the prompt in the run's data, from 0")
LAYER = column("layer", SMALL, "layer, from 0")

RUNS = table(
    "runs",
    "One row per sweep, derived from its plan and its commit records.",
    [
        column("model", TEXT, "the model as it was named: path, hub id or bundled"),
        column("model_hash", TEXT, "hash of the model's configuration and weights"),
        column("architecture", TEXT, "the model's class or family"),
        column("block_kind", TEXT, "sequential, or parallel (attention beside FFN)"),
        column("n_layers", INT, "number of layers"),
        column("n_heads", INT, "query heads per layer"),
        column("n_kv_heads", INT, "key/value heads per layer"),
        column("d_model", INT, "width of the residual stream"),
        column("d_ffn", INT, "neurons per FFN"),
        column("vocab_size", INT, "tokens in the vocabulary"),
        column("dtype", TEXT, "floating-point type of the forward pass"),
        column("device", TEXT, "device of the forward pass"),
        column("datasets", TEXTS, "the prompts' sources, in order"),
        column("cutoff", DOUBLE, "smallest contribution that is stored"),
        column("config", TEXT, "JSON: everything needed to repeat the sweep"),
        column("versions", TEXT, "JSON: versions of the libraries"),
        column("started_at", TIME, "when the sweep began, UTC"),
        optional("finished_at", TIME, "when the last shard came, UTC; null until then"),
        column("status", TEXT, "complete, partial, or stopped (on purpose)"),
        column("n_prompts", BIG, "prompts committed, without the quarantined"),
        column("n_tokens", BIG, "tokens of those prompts"),
        column("n_quarantined", BIG, "prompts that could not be processed"),
    ],
    sort="started_at",
)

PROMPTS = table(
    "prompts",
    "One row per prompt.",
    [
        PROMPT_ID,
        column("dataset", TEXT, "the source it came from"),
        optional("category", TEXT, "group within the dataset; null if it has none"),
        column("text", TEXT, "the text the model read"),
        column("prompt_hash", TEXT, "sha256 of the UTF-8 text"),
        column("n_tokens", BIG, "number of tokens, a prepended start token included"),
        optional("answer", TEXT, "the right continuation; null if none was given"),
        optional("distractor", TEXT, "a tempting wrong continuation; null if none"),
        column("closure", FLOAT, "largest |sum of parts - whole|, relative"),
        column("metadata", TEXT, "JSON object: everything else the source said"),
    ],
    sort="prompt_id",
)

TOKENS = table(
    "tokens",
    "One row per position of a prompt.",
    [
        PROMPT_ID,
        column("position", INT, "position, a prepended start token counted"),
        column("token_id", INT, "token in the vocabulary"),
        column("token", TEXT, "the token's text, leading space kept"),
        optional("word", INT, "word it belongs to, from 0; null for a start token"),
        optional("char_start", INT, "first character in the text; null if special"),
        optional("char_end", INT, "character after its last; null if special"),
        column("is_special", BOOL, "start token or other token that is no text"),
        optional("logprob", FLOAT, "ln probability given those before; null at 0"),
        optional("rank", INT, "its rank given those before it; null at position 0"),
        column("entropy", FLOAT, "entropy of the prediction made here, nats"),
        column("top_token_id", INT, "likeliest next token here"),
        column("top_token", TEXT, "likeliest next token here, as text"),
        column("top_prob", FLOAT, "probability of that token"),
    ],
    sort="prompt_id position",
)

TARGETS = table(
    "targets",
    "One row per target: a position whose prediction was traced.",
    [
        PROMPT_ID,
        column("target", INT, "position that predicts"),
        column("reason", TEXT, "why it is a target: last, answer or chosen"),
        column("predicted_token_id", INT, "likeliest next token"),
        column("predicted_token", TEXT, "likeliest next token, as text"),
        column("predicted_prob", FLOAT, "probability of that token"),
        optional("answer_token_id", INT, "answer token due here; null without"),
        optional("answer_prob", FLOAT, "probability of that token"),
        optional("answer_rank", INT, "rank of that token among the vocabulary"),
        optional("distractor_token_id", INT, "distractor token; null without"),
        optional("distractor_prob", FLOAT, "probability of that token"),
        optional("correct", BOOL, "the answer token is the likeliest; null without"),
        column("n_edges", BIG, "edges in its route at the default tau"),
    ],
    sort="prompt_id target",
)

COMPONENT_STATS = table(
    "component_stats",
    "One row per (dataset, category, component): `importance`, rolled up.",
    [
        column("dataset", TEXT, "source of the prompts"),
        optional("category", TEXT, "group within the dataset; null if it has none"),
        LAYER,
        column("component", TEXT, "head or ffn"),
        column("index", INT, "head; 0 for ffn"),
        column("n_targets", BIG, "targets of the dataset and category"),
        optional("n_in_route_001", BIG, "of them with it in the route at tau 0.01"),
        optional("n_in_route_002", BIG, "the same at 0.02; null where tau < cutoff"),
        optional("n_in_route_004", BIG, "the same at 0.04"),
        optional("n_in_route_008", BIG, "the same at 0.08"),
        column("contribution_sum", BIG, "sum of them; DOUBLE in the view"),
        column("contribution_sum_sq", BIG, "sum of squares; DOUBLE in the view"),
        column("contribution_max", FLOAT, "largest; 0 if never in a route"),
    ],
    sort="dataset category layer component index",
)

QUARANTINE = table(
    "quarantine",
    "One row per prompt that could not be processed.",
    [
        PROMPT_ID,
        column("dataset", TEXT, "the source it came from"),
        column("text", TEXT, "the text as given"),
        column("reason", TEXT, "what went wrong, in one line"),
        optional("step", TEXT, "attn, ffn or block, if one step is to blame"),
        optional("layer", SMALL, "layer of that step"),
    ],
    sort="prompt_id",
)
