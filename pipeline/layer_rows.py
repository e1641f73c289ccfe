"""The layers of one batch, one after the other as they stream by, to rows.

Contributions are rounded and cut off: `edges`, `steps`, `heads`, `neurons`, `tensors`.
Beside them three things are kept for the end of the forward pass: the graph of stored
edges, each prompt's worst closure, and the history.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from .batch import Batch, sources_of
from .closure import SAME
from .contributions import Step
from .decompose import Decomposed, attention_parts, steps
from .dense_rows import tensor_rows
from .history import History
from .layer import LayerCapture, LayerWeights
from .model import LoadedModel
from .neuron_step import neuron_step
from .neurons import TopNeurons, neuron_rows, no_neurons, top_neurons
from .rows import (
    Columns,
    EdgeColumns,
    Rounding,
    edge_rows,
    head_rows,
    rounding,
    step_rows,
    stored_edges,
)
from .settings import Settings

OnStep = Callable[[int, str, Step, Tensor], None]
"""(layer, step, contributions, attention pattern), while the layer is at hand."""


@dataclass(eq=False)
class WorstClosure:
    """The largest closure of each prompt so far, and where it was; [batch]."""

    error: NDArray[np.float64]
    step: list[str]
    layer: list[int]

    @staticmethod
    def of(n_prompts: int) -> "WorstClosure":
        return WorstClosure(np.zeros(n_prompts), [""] * n_prompts, [0] * n_prompts)

    def see(self, layer: int, step: str, error: Tensor, valid: Tensor) -> None:
        """Take in the closure of one step, [batch, query]."""
        errors = torch.where(valid, error, 0).double().cpu().numpy()
        # NaN is never larger than anything: count it as worse than everything.
        worst = np.where(np.isnan(errors), np.inf, errors).max(1)
        for row in np.flatnonzero(worst > self.error * SAME):
            self.step[row], self.layer[row] = step, layer
        self.error = np.maximum(self.error, worst)


@dataclass(eq=False)
class LayerRows:
    """What the layers so far gave."""

    model: LoadedModel
    settings: Settings
    batch: Batch
    on_step: OnStep | None
    round_: Rounding
    sources: Float[Tensor, "batch query*key 1+source"]
    closure: WorstClosure
    history: History
    columns: dict[str, list[Columns]] = field(default_factory=lambda: defaultdict(list))
    graph: list[EdgeColumns] = field(default_factory=list)

    @staticmethod
    def of(
        model: LoadedModel, settings: Settings, batch: Batch, on_step: OnStep | None
    ) -> "LayerRows":
        """Nothing yet."""
        return LayerRows(
            model,
            settings,
            batch,
            on_step,
            round_=rounding(settings.precision),
            sources=sources_of(batch, model.weights.dtype),
            closure=WorstClosure.of(len(batch.prompts)),
            history=History.of(batch),
        )

    def take_in(self, layer: int, capture: LayerCapture) -> None:
        """The next layer."""
        weights = self.model.weights[layer]
        parts = attention_parts(capture.attention, weights.attention)
        for step in steps(capture, weights, parts, self.batch.frame.valid):
            self._take_in_step(layer, step, capture.attention.pattern)
        top = self._leading_neurons(layer, capture, weights)
        frame = self.batch.frame
        self.columns["neurons"].append(
            neuron_rows(top, weights.ffn, frame, layer=layer)
        )
        self.history.keep(capture, parts, top)

    def _take_in_step(self, layer: int, found: Decomposed, pattern: Tensor) -> None:
        name, step, frame, round_ = (
            found.name,
            found.step,
            self.batch.frame,
            self.round_,
        )
        self.closure.see(layer, name, found.closure, frame.valid)
        edges = stored_edges(
            step,
            pattern,
            frame,
            layer=layer,
            name=name,
            cutoff=self.settings.cutoff,
            round_=round_,
        )
        self.graph.extend(edges)
        self.columns["edges"] += [edge_rows(some, frame, round_) for some in edges]
        self.columns["steps"].append(
            step_rows(step, edges, frame, layer=layer, name=name, round_=round_)
        )
        if self.on_step is not None:
            self.on_step(layer, name, step, pattern)
        if not step.attn.shape[1]:
            return
        self.columns["heads"].append(
            head_rows(step.attn, self.sources, frame, layer=layer)
        )
        if self.settings.tensors == "dense":
            precision = self.settings.precision
            self.columns["tensors"] += tensor_rows(
                step.attn, pattern, frame, layer=layer, precision=precision
            )

    def _leading_neurons(
        self, layer: int, capture: LayerCapture, weights: LayerWeights
    ) -> TopNeurons:
        if not (self.settings.neurons and capture.ffn.banks):
            return no_neurons(capture.resid_post)
        shares, error = neuron_step(capture, weights, self.batch.frame.valid)
        self.closure.see(layer, "neuron", error, self.batch.frame.valid)
        return top_neurons(
            shares,
            capture.ffn,
            weights.ffn,
            self.settings.neurons,
            cutoff=self.settings.cutoff,
            round_=self.round_,
        )
