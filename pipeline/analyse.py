"""One batch of prompts to rows of every table: the only file that knows the order.

1. Pad the batch, run the model once; every layer is decomposed as it streams by.
2. Contributions are rounded and cut off: `edges`, `steps`, `heads`, `neurons`.
3. The routes of each prompt's targets: `routes`, `importance`.
4. What the model predicts: `tokens`, `targets`, `prompts`.
5. What states and writes say in tokens: `lens`, `writes`, `logit_attribution`.
6. A prompt whose parts do not sum to the whole goes to `quarantine` instead.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowglass.store.rollup import component_stats

from .attribution import ask, attribution_rows
from .batch import Batch, pad
from .capture import stream
from .history import History
from .layer_rows import LayerRows, OnStep, WorstClosure
from .model import CLOSURE_BOUNDS, LoadedModel
from .predictions import Prediction
from .projections import Projector
from .prompt_rows import predict_next, prompt_rows, target_rows, token_rows
from .prompts import TokenisedPrompt
from .route_rows import RouteRows, route_rows
from .rows import Columns, as_table
from .selection import select
from .settings import Settings
from .text import TokenText


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
    layers = LayerRows.of(model, settings, batch, on_step)
    logits = stream(model.module, model.anatomy, batch.ids, layers.take_in)
    routes = route_rows(
        layers.graph,
        batch,
        n_layers=len(model.anatomy.layers),
        cutoff=settings.cutoff,
        round_=layers.round_,
    )
    predicted = predict_next(logits, batch)
    targets = target_rows(logits, predicted, batch, routes.n_edges, token_text)
    columns = {
        **layers.columns,
        "routes": routes.routes,
        "importance": routes.importance,
        "tokens": [token_rows(predicted, batch, token_text)],
        "targets": [targets],
        "prompts": [prompt_rows(batch, layers.closure.error)],
        **meanings(
            model, batch, layers.history, routes, predicted, settings, token_text
        ),
    }
    tables = {name: as_table(name, parts) for name, parts in columns.items()}
    return set_aside(tables, batch, layers.closure, bound=CLOSURE_BOUNDS[model.dtype])


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
