"""Can this model be decomposed? Its anatomy, and how exactly parts sum to the whole.

1. Load the model and find its anatomy: what cannot be proven is refused here.
2. One batch of random tokens, of two lengths, through the sweep's own decomposition:
   the closure of every step of every layer.
3. The logits while it is watched, and the logit lens of the last state, against the
   model's own logits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .anatomy import Anatomy
from .capture import stream
from .closure import SAME
from .decompose import attention_parts, steps
from .describe import special
from .layer import LayerCapture
from .model import CLOSURE_BOUNDS, LoadedModel
from .neuron_step import neuron_step
from .taps import unwatched

LENGTHS = (24, 17)
"""Tokens of the two prompts: one is padded, as in a sweep."""


@dataclass(frozen=True)
class StepClosure:
    """The largest closure of a step over all layers and positions, and where it was."""

    step: str
    closure: float
    layer: int


@dataclass(frozen=True, eq=False)
class Report:
    """What was found and measured."""

    loaded: LoadedModel
    closures: tuple[StepClosure, ...]
    logits_error: float
    """Largest difference from the model's own logits, relative to the largest logit."""
    lens_error: float
    """The same of the logit lens of the last state."""
    batch_error: float
    """The same of prompts that are padded and share a batch, against each alone."""
    pattern_sum: float
    """The smallest sum of a query's attention probabilities: below 1 with a sink."""

    @property
    def anatomy(self) -> Anatomy:
        return self.loaded.anatomy

    @property
    def bound(self) -> float:
        return CLOSURE_BOUNDS[self.loaded.dtype]

    @property
    def closure(self) -> float:
        return max(found.closure for found in self.closures)

    @property
    def closes(self) -> bool:
        return self.closure <= self.bound

    @property
    def special(self) -> list[str]:
        """What is special about the model, a few words each."""
        sinks = ["attention sinks"] if self.pattern_sum < 0.99 else []
        return [*special(self.anatomy, self.loaded.readout), *sinks]


def check(loaded: LoadedModel) -> Report:
    """Measure how exactly a loaded model is decomposed."""
    module, anatomy = loaded.module, loaded.anatomy
    ids, mask = _tokens(loaded)
    valid = mask.bool()
    worst: dict[str, StepClosure] = {}
    smallest = [1.0]
    last: list[Tensor] = []

    def see(step: str, layer: int, error: Tensor) -> None:
        # NaN is larger than nothing: it counts as the worst.
        found = float(error[valid].nan_to_num(nan=torch.inf).max())
        known = worst.get(step, StepClosure(step, 0.0, layer))
        where = layer if found > known.closure * SAME else known.layer
        worst[step] = StepClosure(step, max(found, known.closure), where)

    def consume(index: int, layer: LayerCapture) -> None:
        weights = loaded.weights[index]
        parts = attention_parts(layer.attention, weights.attention)
        for name, _, error in steps(layer, weights, parts, valid):
            see(name, index, error)
        if layer.ffn.banks:
            see("neuron", index, neuron_step(layer, weights, valid)[1])
        sums = layer.attention.pattern.sum(-1).amin(1)[valid]
        smallest.append(float(sums.min()))
        last[:] = [layer.resid_post[valid]]

    watched = stream(module, anatomy, ids, consume)[valid]
    own, alone = (logits[valid] for logits in _own_logits(loaded, ids, mask))
    readout = loaded.readout
    lens = readout.lens(readout.raw(last[0]), readout.scale_at(last[0]))
    size = float(own.abs().max())
    return Report(
        loaded=loaded,
        closures=tuple(worst.values()),
        logits_error=float((watched - own).abs().max()) / size,
        lens_error=float((lens - own).abs().max()) / size,
        batch_error=float((alone - own).abs().max()) / size,
        pattern_sum=min(smallest),
    )


@torch.inference_mode()
def _own_logits(
    loaded: LoadedModel, ids: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The model's logits, unwatched, of the batch, and of each prompt alone."""
    with unwatched(loaded.module):
        together = loaded.module(input_ids=ids, use_cache=False).logits
        together = together.to(loaded.device)
        alone = torch.zeros_like(together)
        for row, n in enumerate(mask.sum(1).tolist()):
            found = loaded.module(input_ids=ids[row : row + 1, :n], use_cache=False)
            alone[row, :n] = found.logits[0]
    return together, alone


def _tokens(loaded: LoadedModel) -> tuple[Tensor, Tensor]:
    """Random token ids [batch, position], padded on the right, and their mask."""
    anatomy = loaded.anatomy
    lengths = [min(n, anatomy.context or n) for n in LENGTHS]
    generator = torch.Generator().manual_seed(0)
    shape = (len(lengths), max(lengths))
    ids = torch.randint(anatomy.vocab_size, shape, generator=generator)
    mask = torch.arange(shape[1]) < torch.tensor(lengths)[:, None]
    return (ids * mask).to(loaded.device), mask.long().to(loaded.device)
