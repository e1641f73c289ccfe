"""The route graph: packs a prompt's edges for the browser, which does the rest.

What the browser computes (the route of a target, `routes.js`) it computes as
`store/routes.py` does; `tests/viewer/test_route_graph.py` holds the two together.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import param
import pyarrow as pa
from numpy.typing import NDArray
from panel.custom import JSComponent

from flowglass.store.schema import KINDS, STEPS

from .prediction import codes
from .selection import DEFAULT_THRESHOLD, MIN_THRESHOLD

HERE = Path(__file__).parent
SOURCES = (
    "routes.js",
    "graph_names.js",
    "graph_geometry.js",
    "graph_pick.js",
    "graph_paint.js",
    "graph_labels.js",
    "graph_marks.js",
    "graph_svg.js",
    "graph_save.js",
    "graph_tip.js",
    "graph_brush.js",
    "graph_style.js",
    "graph_markup.js",
    "graph_stage.js",
    "graph_controls.js",
    "graph_keys.js",
    "graph_listen.js",
    "route_graph.js",
)
"""One module without imports: nothing is fetched, nothing needs a bundler."""


def module_of(*last: str) -> str:
    """The graph's script, ending in what renders it."""
    return "\n".join((HERE / source).read_text("utf-8") for source in (*SOURCES, *last))


class RouteGraph(JSComponent):
    """The graph of one prompt.

    What `Selection` holds under the same name goes both ways: the component shows it
    and tells what the reader makes of it.
    """

    edges = param.Bytes(b"", doc="As packed by `pack_edges`.")
    tokens = param.List([], item_type=str, doc="White space made visible.")
    predictions = param.List([], item_type=str, doc="Top token at each position.")
    probabilities = param.List([], item_type=float, doc="Of the predictions.")
    stored_targets = param.List([], item_type=int, doc="Positions the sweep traced.")
    n_layers = param.Integer(1, bounds=(1, None))
    parallel = param.Boolean(False, doc="One step `block` per layer, no mid state.")
    lowest = param.Number(MIN_THRESHOLD, doc="The slider's lower end.")
    file_name = param.String("route", doc="Of a download, without the ending.")
    dark = param.Boolean(False, doc="Only a reason to repaint.")

    target = param.Integer(0, bounds=(0, None))
    threshold = param.Number(DEFAULT_THRESHOLD)
    selected = param.String("", doc="As `Selection.selected`: an edge or a state.")
    renormalise = param.Boolean(False, doc="Widths by the share of what is left.")
    strongest = param.Integer(None, bounds=(1, None), doc="Most edges; none: all.")
    layers = param.String("", doc='Layers drawn: "2-5"; empty: all.')
    positions = param.String("", doc='Positions drawn: "0-31"; empty: all.')

    _esm = module_of("graph_render.js")


def pack_edges(edges: pa.Table) -> bytes:
    """A prompt's `edges` rows in 18 bytes each; `routes.js` describes the layout.

    >>> len(pack_edges(pa.table({
    ...     "layer": [0], "step": ["attn"], "kind": ["resid"], "head": [None],
    ...     "query": [0], "key": [0], "contribution": [0.5]})))
    22
    """
    columns = [
        _numbers(edges["contribution"], "<f4"),
        _numbers(edges["query"], "<i4"),
        _numbers(edges["key"], "<i4"),
        _numbers(edges["layer"], "<i2"),
        _numbers(edges["head"].cast(pa.int16()).fill_null(-1), "<i2"),
        codes(edges["step"], STEPS),
        codes(edges["kind"], KINDS),
    ]
    packed = [column.tobytes() for column in columns]
    return struct.pack("<I", edges.num_rows) + b"".join(packed)


def _numbers(column: pa.ChunkedArray, kind: str) -> NDArray[Any]:
    return np.ascontiguousarray(column.to_numpy().astype(kind))
