"""How a model turns its last state into logits: measured on it, and proven on it.

1. The final norm's gain, bias and centring are measured with a few inputs, so that any
   norm will do, whatever its class and however it writes its gain.
2. The unembedding is the model's output embedding; its scale is measured.
3. On random tokens the model's own logits must come out, or the model is refused.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from .anatomy import Anatomy, linear_map
from .capture import stream
from .decompose import LayerCapture
from .errors import ModelError
from .readout import LinearNorm, Readout

FAR = 1e3
"""Coordinates this large drown a norm's epsilon."""

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
    if not isinstance(head, nn.Module):
        raise ModelError(f"{type(model).__name__} has no unembedding")
    w_u, b_u = linear_map(head, dtype)
    zeros = torch.zeros((1, anatomy.d_model), dtype=dtype, device=w_u.device)
    norm, normalise = measure_norm(anatomy.final_norm, zeros)
    config = model.config.get_text_config(decoder=True)
    softcap = getattr(config, "final_logit_softcapping", None)
    state, logits = _probe(model, anatomy)
    uncapped = logits
    if softcap is not None:
        uncapped = torch.atanh(logits / softcap) * softcap
    plain = normalise(state) @ w_u + b_u
    scale = float((uncapped * plain).sum() / plain.square().sum())
    if abs(scale - 1) < 1e-6:
        scale = 1.0
    readout = Readout(norm, normalise, w_u.T, b_u, scale, softcap)
    ours = readout.lens(readout.raw(state), readout.scale_at(state))
    error = float((ours - logits).abs().max() / logits.abs().max())
    bound = LOGIT_BOUNDS[model.dtype]
    if not error <= bound:
        raise ModelError(
            f"{type(model).__name__}: its final norm and unembedding do not give its "
            f"logits (relative difference {error:.1g}, at most {bound:.0e} is allowed)"
        )
    return readout


def measure_norm(
    module: nn.Module, zeros: Float[Tensor, "1 d_model"]
) -> tuple[LinearNorm, Callable[[Tensor], Tensor]]:
    """A norm as a linear map with a scale, and the norm itself in this dtype."""
    own = deepcopy(module).to(zeros.dtype).requires_grad_(False)

    def normalise(x: Tensor) -> Tensor:
        found = own(x)
        assert isinstance(found, Tensor)
        return found

    bias = normalise(zeros)[0]
    probe = torch.full_like(zeros, FAR)
    level = normalise(probe)[0] - bias
    probe[:, ::2] *= -1
    seen = normalise(probe)[0] - bias
    centred = bool(level.abs().max() < 1e-3 * seen.abs().max())
    if centred:
        probe -= probe.mean()
    gain = seen * probe.square().mean().sqrt() / probe[0]
    return LinearNorm(gain, bias, centred), normalise


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
    logits = stream(model, anatomy, ids, torch.ones_like(ids), keep)
    return last[0], logits[0].to(last[0].dtype)
