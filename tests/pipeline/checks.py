"""The checks that tell a right decomposition from a wrong one, on one short prompt.

1. `closure`: the parts of every step sum to the whole.
2. `value_bias_gap`: b_V is the model's own parameter.
3. `cause_gap`: a part is what the state loses when its value is replaced.
4. `pattern_gap`: attention probabilities are those that the model itself tells.
5. `attribution_gap`: what all components add to a logit is the logit.
6. `lens_gap`: the lens of the last state gives the model's logits.

The first sees neither which part something is in, nor what the unembedding does; so
there are the others. Each is 0 for a right decomposition, up to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowglass.pipeline.capture import stream
from flowglass.pipeline.layer import LayerCapture, OutputWeights
from flowglass.pipeline.model import LoadedModel
from flowglass.pipeline.prompts import from_ids
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import TokenText
from flowglass.pipeline.tracing import Trace, trace_prompt

from .family_configs import HEADS, VOCAB
from .replaced_values import state_behind_attention, state_without, value_bias

IDS = torch.randint(3, VOCAB, (1, 9), generator=torch.Generator().manual_seed(5))
SAMPLES = ((0, 0), (1, 3), (2, 4), (3, 6))
"""(head, key): all heads, so of those that share keys and values each."""
PLAIN = Settings(project="none", precision="full")


def traced(model: LoadedModel) -> Trace:
    """The prompt's trace; raises ModelError, naming step and layer, over the bound."""
    prompt = from_ids(IDS[0].tolist(), PLAIN, context=None)
    return trace_prompt(model, prompt, PLAIN, TokenText(None))


def closure(model: LoadedModel) -> float:
    """The prompt's closure; raises ModelError as `traced` does."""
    found: float = traced(model).prompts["closure"][0].as_py()
    return found


def value_bias_gap(model: LoadedModel, family: str) -> float:
    """The largest difference of b_V from the parameter, repeated to query heads."""
    gaps = []
    for index, weights in enumerate(model.weights):
        due = value_bias(model.module, family, index)
        due = torch.stack([due[head * len(due) // HEADS] for head in range(HEADS)])
        gaps.append(float((weights.attention.b_v - due).abs().max()))
    return max(gaps)


def cause_gap(model: LoadedModel, family: str) -> float:
    """The largest difference of a part from its effect on the state behind the
    attention, relative to the largest number of that effect."""
    gaps = []
    for index, capture in enumerate(captures_of(model)):
        clean = state_behind_attention(model.module, family, IDS, index)
        for head, key in SAMPLES:
            where = model.module, family, IDS, index
            lost = clean - state_without(*where, heads=[head], keys=[key])
            found = attention_part(capture, model.weights[index].attention, head, key)
            assert float(lost.abs().max()) > 1e-4, "an effect that is felt"
            gaps.append(float((found - lost).abs().max() / lost.abs().max()))
    return max(gaps)


def pattern_gap(model: LoadedModel) -> float:
    """The largest difference of a probability from `output_attentions`."""
    with torch.inference_mode():
        told = model.module(input_ids=IDS, output_attentions=True, use_cache=False)
    pairs = zip(captures_of(model), told.attentions, strict=True)
    return max(float((c.attention.pattern - own).abs().max()) for c, own in pairs)


def attribution_gap(model: LoadedModel) -> float:
    """How far the components' sum is from the predicted token's logit, no softcap."""
    rows = traced(model).logit_attribution.to_pylist()
    rows = [row for row in rows if row["component"] != "neuron"]
    with torch.inference_mode():
        logits = model.module(input_ids=IDS, use_cache=False).logits[0, -1]
    found = sum(row["value"] for row in rows if row["role"] == "predicted")
    return abs(found - float(logits[rows[0]["token_id"]]))


def lens_gap(model: LoadedModel) -> float:
    """The largest difference of the last states' lens from the model's logits."""
    state, readout = captures_of(model)[-1].resid_post[0], model.readout
    with torch.inference_mode():
        logits = model.module(input_ids=IDS, use_cache=False).logits[0]
        lens = readout.lens(readout.raw(state), readout.scale_at(state))
    return float((lens - logits).abs().max())


def captures_of(model: LoadedModel) -> list[LayerCapture]:
    """What every layer did."""
    found: dict[int, LayerCapture] = {}
    stream(model.module, model.anatomy, IDS, found.__setitem__)
    return [found[index] for index in sorted(found)]


def attention_part(
    layer: LayerCapture, weights: OutputWeights, head: int, key: int
) -> Tensor:
    """The `attn` part of a head and a key, [query, d_model]: of DESIGN 2.1, from what
    was captured."""
    attention = layer.attention
    gate = attention.gate.expand(1, IDS.shape[1], HEADS, -1)[0, :, head]
    gated = gate * (attention.value[0, head, key] - weights.b_v[head])
    coefficient = attention.coefficient[0, head, :, key, None]
    return coefficient * (gated @ weights.w_o[head])
