"""How a model turns its last state into logits: measured on it, and proven on it.

1. The final norm's gain, bias and centring are measured with a few inputs.
2. The unembedding is the model's output embedding; its scale is measured.
3. On random tokens the model's own logits must come out, or the model is refused.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .anatomy import Anatomy
from .capture import stream
from .errors import ModelError
from .layer import LayerCapture
from .linear_norm import LinearNorm, no_norm
from .measure_norm import measure_norm
from .readout import Readout
from .weights import linear_map, linear_shape

PROBE_TOKENS = 8

LOGIT_BOUNDS = {
    torch.float64: 1e-5,
    torch.float32: 1e-4,
    torch.float16: 2e-2,
    torch.bfloat16: 1e-1,
}
"""Largest difference from the model's logits, relative to the largest of them. A norm
may compute in float32 inside a float64 model; half precision rounds the state."""


def find_readout(
    model: PreTrainedModel, anatomy: Anatomy, *, dtype: torch.dtype
) -> Readout:
    """The model's way from its last state to its logits, in `dtype`.

    Raises ModelError where final norm, unembedding, scale and softcap do not give the
    model's own logits.
    """
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Module) or linear_shape(head) is None:
        raise ModelError(f"{type(model).__name__} has no linear unembedding")
    w_u, b_u = (t.to(model.device, dtype) for t in linear_map(head))
    zeros = torch.zeros((1, anatomy.d_model), dtype=dtype, device=w_u.device)
    norm, normalise = _norm(anatomy.final_norm, zeros)
    config = model.config.get_text_config(decoder=True)
    softcap = getattr(config, "final_logit_softcapping", None)
    state, logits = _probe(model, anatomy)
    plain = normalise(state) @ w_u + b_u
    scale = _scale(logits, plain, softcap)
    bound = LOGIT_BOUNDS[model.dtype]
    if abs(scale - 1) < bound / 10:
        scale = 1.0
    readout = Readout(norm, normalise, w_u.T, b_u, scale, softcap)
    ours = readout.lens(readout.raw(state), readout.scale_at(state))
    error = float((ours - logits).abs().max() / logits.abs().max())
    if not error <= bound:
        raise ModelError(
            f"{type(model).__name__}: its final norm and unembedding do not give its "
            f"logits (relative difference {error:.1g}, at most {bound:.0e} is allowed)"
        )
    return readout


def _scale(logits: Tensor, plain: Tensor, softcap: float | None) -> float:
    """What `plain` is multiplied by before the softcap."""
    if softcap is not None:
        # Near the cap a logit says nothing of what it was.
        known = logits.abs() < 0.9 * softcap
        logits = torch.atanh(logits[known] / softcap) * softcap
        plain = plain[known]
    return float((logits * plain).sum() / plain.square().sum())


def _norm(
    module: nn.Module | None, zeros: Tensor
) -> tuple[LinearNorm, Callable[[Tensor], Tensor]]:
    if module is None:
        return no_norm(zeros), lambda state: state
    return measure_norm(module, zeros)


def _probe(model: PreTrainedModel, anatomy: Anatomy) -> tuple[Tensor, Tensor]:
    """The last states of a few random tokens, and the model's logits there."""
    last: list[Tensor] = []

    def keep(layer: int, capture: LayerCapture) -> None:
        if layer == len(anatomy.layers) - 1:
            last.append(capture.resid_post[0])

    generator = torch.Generator().manual_seed(0)
    shape = (1, min(PROBE_TOKENS, anatomy.context or PROBE_TOKENS))
    ids = torch.randint(anatomy.vocab_size, shape, generator=generator)
    ids = ids.to(model.device)
    logits = stream(model, anatomy, ids, keep)
    return last[0], logits[0].to(last[0].dtype)
