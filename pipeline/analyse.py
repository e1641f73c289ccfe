"""One batch of prompts to rows of every table: the only file that knows the order.

1. Pad the batch, run the model once; every layer is decomposed as it streams by.
2. Contributions are rounded and cut off: `edges`, `steps`, `heads`, `neurons`.
3. The routes of each prompt's targets: `routes`, `importance`.
4. What the model predicts: `tokens`, `targets`, `prompts`.
5. What states and writes say in tokens: `lens`, `writes`, `logit_attribution`.
6. A prompt whose parts do not sum to the whole goes to `quarantine` instead.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowglass.store.rollup import component_stats

from .attribution import ask, attribution_rows
from .batch import Batch, pad, sources_of
from .capture import stream
from .closure import SAME
from .contributions import Step
from .decompose import attention_parts, steps
from .dense_rows import tensor_rows
from .history import History
from .layer import LayerCapture, LayerWeights
from .model import CLOSURE_BOUNDS, LoadedModel
from .neuron_step import neuron_step
from .neurons import TopNeurons, neuron_rows, no_neurons, top_neurons
from .predictions import Prediction
from .projections import Projector
from .prompt_rows import predict_next, prompt_rows, target_rows, token_rows
from .prompts import TokenisedPrompt
from .route_rows import RouteRows, route_rows
from .rows import (
    Columns,
    EdgeColumns,
    as_table,
    edge_rows,
    head_rows,
    rounding,
    step_rows,
    stored_edges,
)
from .selection import select
from .settings import Settings
from .text import TokenText

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
            self.error[row], self.step[row], self.layer[row] = worst[row], step, layer


def analyse(
    model: LoadedModel,
    prompts: Sequence[TokenisedPrompt],
    settings: Settings,
    token_text: TokenText,
    *,
    on_step: OnStep | None = None,
) -> dict[str, pa.Table]:
    """Run one batch and give its rows by table.

    A prompt's rows do not depend on what else is in the batch, up to float32 rounding.
    """
    batch = pad(prompts, model.device)
    frame, sources = batch.frame, sources_of(batch, model.weights.dtype)
    round_ = rounding(settings.precision)
    columns: dict[str, list[Columns]] = defaultdict(list)
    graph: list[EdgeColumns] = []
    closure = WorstClosure.of(len(prompts))
    history = History.of(batch)

    def record(layer: int, name: str, step: Step, error: Tensor, on: Tensor) -> None:
        closure.see(layer, name, error, frame.valid)
        edges = stored_edges(
            step,
            on,
            frame,
            layer=layer,
            name=name,
            cutoff=settings.cutoff,
            round_=round_,
        )
        graph.extend(edges)
        columns["edges"] += [edge_rows(some, frame, round_) for some in edges]
        columns["steps"].append(
            step_rows(step, edges, frame, layer=layer, name=name, round_=round_)
        )
        if on_step is not None:
            on_step(layer, name, step, on)

    def leading_neurons(
        layer: int, capture: LayerCapture, weights: LayerWeights
    ) -> TopNeurons:
        if not (settings.neurons and capture.ffn.banks):
            return no_neurons(capture.resid_post)
        shares, error = neuron_step(capture, weights)
        closure.see(layer, "neuron", error, frame.valid)
        return top_neurons(
            shares,
            capture.ffn,
            weights.ffn,
            settings.neurons,
            cutoff=settings.cutoff,
            round_=round_,
        )

    def consume(layer: int, capture: LayerCapture) -> None:
        weights, pattern = model.weights[layer], capture.attention.pattern
        parts = attention_parts(capture.attention, weights.attention)
        for name, step, error in steps(capture, weights, parts):
            record(layer, name, step, error, pattern)
            if not step.attn.shape[1]:
                continue
            columns["heads"].append(head_rows(step.attn, sources, frame, layer=layer))
            if settings.tensors == "dense":
                columns["tensors"] += tensor_rows(
                    step.attn,
                    pattern,
                    frame,
                    layer=layer,
                    precision=settings.precision,
                )
        top = leading_neurons(layer, capture, weights)
        columns["neurons"].append(neuron_rows(top, weights.ffn, frame, layer=layer))
        history.keep(capture, parts, top)

    logits = stream(model.module, model.anatomy, batch.ids, consume)
    routes = route_rows(
        graph,
        batch,
        n_layers=len(model.anatomy.layers),
        cutoff=settings.cutoff,
        round_=round_,
    )
    predicted = predict_next(logits, batch)
    columns["routes"] = routes.routes
    columns["importance"] = routes.importance
    columns["tokens"] = token_rows(predicted, batch, token_text)
    columns["targets"] = [
        target_rows(logits, predicted, batch, routes.n_edges, token_text)
    ]
    columns["prompts"] = [prompt_rows(batch, closure.error)]
    columns |= meanings(model, batch, history, routes, predicted, settings, token_text)
    tables = {name: as_table(name, parts) for name, parts in columns.items()}
    return set_aside(tables, batch, closure, bound=CLOSURE_BOUNDS[model.dtype])


def meanings(
    model: LoadedModel,
    batch: Batch,
    history: History,
    routes: RouteRows,
    predicted: Prediction,
    settings: Settings,
    token_text: TokenText,
) -> dict[str, list[Columns]]:
    """What needs the unembedding: `lens`, `writes` and `logit_attribution`."""
    readout, weights = model.readout, model.weights
    row, position = history.targets
    at_targets = predicted.top_id[row.cpu(), position.cpu()]
    asked = ask(batch, history, readout, at_targets.tolist())
    projector = Projector(
        history=history,
        readout=readout,
        frame=batch.frame,
        token_text=token_text,
        top_tokens=settings.top_tokens,
        final_scale=readout.scale_at(history.states[-1]),
        weights=weights,
    )
    if settings.project != "none":
        selection = select(
            settings.project,
            history,
            routes,
            batch.frame.valid,
            parallel=model.anatomy.parallel,
        )
        projector.states_and_blocks(selection)
        for layer, own in enumerate(weights):
            projector.heads(layer, selection, own)
            projector.neurons(layer, selection, own)
    return {
        "lens": projector.lens,
        "writes": projector.writes,
        "logit_attribution": [*attribution_rows(asked, history, readout, weights)],
    }


def roll_up(tables: dict[str, pa.Table], model: LoadedModel, cutoff: float) -> pa.Table:
    """`component_stats` of the prompts in `tables`."""
    return component_stats(
        tables["prompts"],
        tables["targets"],
        tables["importance"],
        n_layers=len(model.anatomy.layers),
        n_heads=model.anatomy.n_heads,
        cutoff=cutoff,
    )


def set_aside(
    tables: dict[str, pa.Table], batch: Batch, closure: WorstClosure, *, bound: float
) -> dict[str, pa.Table]:
    """The tables without the prompts over the bound; those are in `quarantine`."""
    bad = np.flatnonzero(closure.error > bound).tolist()
    if bad:
        bad_ids = pa.array(batch.frame.prompt_ids[bad])
        tables = {
            name: table.filter(pc.invert(pc.is_in(table["prompt_id"], bad_ids)))
            for name, table in tables.items()
        }
    failed = [batch.prompts[row] for row in bad]
    rows = {
        "prompt_id": [p.prompt_id for p in failed],
        "dataset": [p.dataset for p in failed],
        "text": [p.prompt.text for p in failed],
        "reason": [
            "the parts do not sum to the whole: "
            f"closure {closure.error[row]:.2g}, at most {bound:.0e} is allowed"
            for row in bad
        ],
        "step": [closure.step[row] for row in bad],
        "layer": [closure.layer[row] for row in bad],
    }
    return tables | {"quarantine": as_table("quarantine", [rows])}
