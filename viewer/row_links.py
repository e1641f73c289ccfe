"""Where a row of a result leads: to the prediction, head, neuron or FFN it is about.

It goes by the names of columns, as the tables of the store have them.
"""

from collections.abc import Collection, Mapping
from typing import Any

from .selection import Selection

Row = Mapping[str, Any]


def run_of_query(sql: str, runs: Collection[str]) -> str | None:
    """The one run that rows without `run_id` must be of; None if that is not sure.

    >>> run_of_query("from edges where run_id = 'a'", ["a", "b"])
    'a'
    >>> run_of_query("from edges", ["a", "b"])
    """
    named = [run for run in runs if "'" + run.replace("'", "''") + "'" in sql]
    sure = named or list(runs)
    return sure[0] if len(sure) == 1 else None


def link_of(
    row: Row, *, run: str | None, views: Collection[str], theme: str = ""
) -> str:
    """The query string that a row opens; empty if it leads nowhere.

    `run` is what a row without `run_id` is of, `views` the pages that there are.

    >>> link_of({"prompt_id": 3, "target": 5, "layer": 1}, run="r", views=())
    '?run=r&prompt=3&target=5'
    >>> link_of({"run_id": "r", "layer": 1, "head": 0}, run=None, views=["head"])
    '?run=r&view=head&head=0&layer=1'
    """
    of_run = row.get("run_id", run)
    if not isinstance(of_run, str) or not of_run:
        return ""
    place = _prediction(row) or _component(row, views)
    if not place and "run_id" not in row:
        return ""
    return Selection(run=of_run, theme=theme).query(**place)


def _prediction(row: Row) -> dict[str, Any]:
    """A prompt, its target, and what of it the row names."""
    prompt = _number(row, "prompt_id")
    if prompt is None:
        return {}
    target = _number(row, "target")
    return {"prompt": prompt, "target": target} | _selected(row)


def _selected(row: Row) -> dict[str, Any]:
    """An attention edge, or an FFN at a position."""
    layer, head = _number(row, "layer"), _head(row)
    query, key = _number(row, "query"), _number(row, "key")
    position = _number(row, "position")
    neuron = _neuron(row)
    if layer is None:
        return {}
    if head is not None and query is not None and key is not None:
        return {"selected": f"attn-{layer}-{query}-{key}", "head": head}
    if row.get("kind") == "ffn" and query is not None:
        return {"selected": f"ffn-{layer}-{query}"}
    if neuron is not None and position is not None:
        return {"selected": f"ffn-{layer}-{position}", "neuron": neuron}
    return {}


def _component(row: Row, views: Collection[str]) -> dict[str, Any]:
    """A head, a neuron or an FFN over the whole run."""
    layer = _number(row, "layer")
    if layer is None:
        return {}
    head, neuron = _head(row), _neuron(row)
    if head is not None and "head" in views:
        return {"view": "head", "layer": layer, "head": head}
    if neuron is not None and "neuron" in views:
        expert = row.get("expert")
        whose = {"expert": expert} if type(expert) is int and expert >= -1 else {}
        return {"view": "neuron", "layer": layer, "neuron": neuron, **whose}
    if row.get("component") == "ffn" and "ffn" in views:
        return {"view": "ffn", "layer": layer}
    return {}


def _head(row: Row) -> int | None:
    return _number(row, "index" if row.get("component") == "head" else "head")


def _neuron(row: Row) -> int | None:
    return _number(row, "index" if row.get("component") == "neuron" else "neuron")


def _number(row: Row, name: str) -> int | None:
    """A count from 0, such as all ids, positions and layers are."""
    value = row.get(name)
    return value if type(value) is int and value >= 0 else None
