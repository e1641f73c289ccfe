"""What a head, an FFN or a neuron writes over a run, as sections."""

from typing import Any

from flowglass.store import write_queries
from flowglass.store.store import Store

from . import head_sections as words
from .prediction import Row
from .sections import Section


def writes_sections(
    store: Store,
    run: Row,
    component: str,
    *,
    caption: str,
    not_added: str,
    layer: int,
    index: int,
    expert: int | None = None,
    part: str = "",
) -> list[Section]:
    """The tokens it promotes and suppresses most often, and what it adds to logits;
    `not_added` says why that is not known, `part` how much of the run is read, if
    not all."""
    of_part = run if part else None
    run_id = run["run_id"]
    of = "" if expert is None else f", expert={expert}"
    call = f"(store, {run_id!r}, {component!r}, layer={layer}, index={index}{of})"
    name = f"{run_id}-layer-{layer}-{component}-{index}"
    at: dict[str, Any] = {"layer": layer, "index": index, "expert": expert}
    return [
        words.meaning_table(
            write_queries.promoted(store, run_id, component, **at),
            caption,
            f"{name}-promoted",
            call=words.python(f"write_queries.promoted{call}", of_part),
            missing=words.not_written(run),
        ),
        words.attribution_table(
            write_queries.attribution(store, run_id, component, **at),
            f"{name}-attribution",
            call=words.python(f"write_queries.attribution{call}", of_part),
            missing=not_added,
        ),
    ]
