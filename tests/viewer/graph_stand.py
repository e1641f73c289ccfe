"""The route graph alone on a page, with a made-up model behind it: no server, no Panel.

What Panel's model does is little: it holds values, and tells who listens to a name.
"""

import base64
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from playwright.sync_api import Page

from flowglass.viewer.route_graph import RouteGraph, pack_edges
from flowglass.viewer.theme import stylesheet

from .synthetic_flow import Shape, make_edges

PAGE = """<!doctype html><html lang="en"><title>Route graph</title>
<style>{}
body {{ margin: 0; padding: 16px 24px; background: var(--fg-surface) }}</style>
<body class="mui-light"><main></main></body></html>"""

MODEL = """
window.stand = (values) => {
    const bytes = Uint8Array.from(atob(values.edges), (c) => c.charCodeAt(0))
    values.edges = bytes.buffer
    const heard = {}
    window.model = new Proxy(values, {
        get: (from, name) => name === "on"
            ? (what, hear) => (heard[what] ??= []).push(hear) : from[name],
        set: (to, name, value) => {
            to[name] = value
            for (const hear of heard[name] ?? []) hear()
            return true
        },
    })
    render({ model, el: document.querySelector("main") })
}"""


def stand(page: Page, edges: pa.Table, tokens: Sequence[str], **values: Any) -> None:
    """Put a graph on an empty page, and wait until it is drawn."""
    page.set_content(PAGE.format(stylesheet()))
    page.add_script_tag(content=RouteGraph._esm + MODEL, type="module")
    page.wait_for_function("() => Boolean(window.stand)")
    given = {name: RouteGraph.param[name].default for name in SETTINGS}
    given |= {
        "edges": base64.b64encode(pack_edges(edges)).decode(),
        "tokens": list(tokens),
        "predictions": [*tokens[1:], "·end"],
        "probabilities": [0.5] * len(tokens),
        "stored_targets": [len(tokens) - 1],
        "target": len(tokens) - 1,
        "parallel": False,
        "file_name": "graph",
    }
    page.evaluate("(values) => stand(values)", given | values)
    page.locator("[data-testid=route-graph][data-edges]").wait_for()


SETTINGS = (
    "lowest",
    "threshold",
    "selected",
    "renormalise",
    "strongest",
    "layers",
    "positions",
)


def told(page: Page, name: str) -> Any:
    """What the component has made of one of its model's values."""
    return page.evaluate("(name) => model[name]", name)


def edge_table(shape: Shape, *, positions: int, seed: int) -> pa.Table:
    """Made-up edges as Arrow, with the stored types."""
    table = pa.Table.from_pylist(make_edges(positions, shape, seed=seed))
    contribution = table["contribution"].cast(pa.float32())
    return table.set_column(
        table.column_names.index("contribution"), "contribution", contribution
    )
