"""The route in the browser is the route in Python."""

import base64
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import BrowserContext, Page

from flowglass.store.routes import survives_at
from flowglass.viewer import route_graph
from flowglass.viewer.prediction import route_edges
from flowglass.viewer.route_graph import pack_edges

from .graph_stand import edge_table
from .synthetic_flow import Shape

HERE = Path(route_graph.__file__).parent
SOURCE = (HERE / "routes.js").read_text()
TIP = (HERE / "graph_tip.js").read_text()
ROUTES = """({ packed, shape, targets, thresholds, options }) => {
    SOURCE
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0))
    const edges = unpackEdges(bytes.buffer)
    return targets.map((target) => {
        const route = survivesAt(edges, shape, target)
        const drawn = thresholds.map((threshold) =>
            linesOf(edges, route, { threshold, ...options }))
        return { survives: [...route.survives], drawn }
    })
}""".replace("SOURCE", SOURCE)
SHAPES = [
    Shape(layers=1, heads=1),
    Shape(layers=5, heads=6),
    Shape(layers=4, heads=3, parallel=True),
    Shape(layers=3, heads=2, cutoff=0.3),
]


@pytest.fixture(scope="module")
def page(browser: BrowserContext) -> Iterator[Page]:
    """An empty page to run the script in."""
    tab = browser.new_page()
    yield tab
    tab.close()


def in_browser(
    page: Page,
    edges: pa.Table,
    shape: Shape,
    *,
    positions: int,
    targets: list[int],
    thresholds: list[float],
    **options: Any,
) -> Any:
    """What the browser makes of packed edges: for each target, for each threshold."""
    return page.evaluate(
        ROUTES,
        {
            "packed": base64.b64encode(pack_edges(edges)).decode(),
            "shape": {
                "layers": shape.layers,
                "parallel": shape.parallel,
                "positions": positions,
            },
            "targets": targets,
            "thresholds": thresholds,
            "options": options,
        },
    )


@pytest.mark.parametrize("shape", SHAPES, ids=["one", "deep", "parallel", "coarse"])
@pytest.mark.parametrize("positions", [1, 9])
def test_browser_and_python_agree_on_every_edge(
    page: Page, shape: Shape, positions: int
) -> None:
    """survives_at is equal to the last bit, for every target."""
    edges = edge_table(shape, positions=positions, seed=positions)
    targets = list(range(positions))

    found = in_browser(
        page, edges, shape, positions=positions, targets=targets, thresholds=[]
    )

    for target in targets:
        expected = survives_at(
            route_edges(edges),
            np.array([target]),
            n_layers=shape.layers,
            n_positions=positions,
        )
        assert found[target]["survives"] == expected.tolist()


def test_lines_sum_the_heads_that_survive(page: Page) -> None:
    """A line is what its surviving heads bring together; the rest is left out."""
    shape, positions = Shape(layers=4, heads=6), 8
    edges = edge_table(shape, positions=positions, seed=3)
    taus = [0.01, 0.04, 0.1]

    (found,) = in_browser(
        page, edges, shape, positions=positions, targets=[7], thresholds=taus
    )

    survives = np.array(found["survives"])
    for tau, drawn in zip(taus, found["drawn"], strict=True):
        expected = grouped(edges, survives > tau)
        lines = {
            (line["layer"], line["step"], line["kind"], line["query"], line["key"]): (
                pytest.approx(line["contribution"]),
                sorted(part["head"] for part in line["heads"]),
            )
            for line in drawn["lines"]
        }
        assert lines == expected
        assert drawn["count"] == (survives > tau).sum()
    assert any(len(heads) > 1 for _, heads in grouped(edges, survives > 0.01).values())


def grouped(edges: pa.Table, kept: Any) -> dict[tuple[Any, ...], Any]:
    """Contribution and heads by (layer, step, kind, query, key)."""
    steps, kinds = ("attn", "ffn", "block"), ("attn", "resid", "ffn")
    sums: dict[tuple[Any, ...], Any] = defaultdict(lambda: [0.0, []])
    for row, keep in zip(edges.to_pylist(), kept, strict=True):
        if keep:
            codes = steps.index(row["step"]), kinds.index(row["kind"])
            entry = sums[(row["layer"], *codes, row["query"], row["key"])]
            entry[0] += row["contribution"]
            entry[1] += [] if row["head"] is None else [row["head"]]
    return {key: (total, sorted(heads)) for key, (total, heads) in sums.items()}


@pytest.mark.parametrize("strongest", [1, 7, 40])
def test_the_strongest_edges_are_a_route(page: Page, strongest: int) -> None:
    """Of the edges those that survive longest, none without its way to the target."""
    shape, positions = Shape(layers=4, heads=3), 8
    edges = edge_table(shape, positions=positions, seed=5)

    (found,) = in_browser(
        page,
        edges,
        shape,
        positions=positions,
        targets=[7],
        thresholds=[0.01],
        strongest=strongest,
    )

    (drawn,) = found["drawn"]
    survives = np.sort(np.array(found["survives"]))[::-1]
    assert (drawn["count"], drawn["surviving"]) == (strongest, (survives > 0.01).sum())
    assert min(line["survives"] for line in drawn["lines"]) == survives[strongest - 1]
    states = {(line["row"], line["query"]) for line in drawn["lines"]}
    fed = {(line["row"] + 1, line["key"]) for line in drawn["lines"]}
    assert states <= fed | {(0, 7)}


def test_shares_of_what_is_left_sum_to_one(page: Page) -> None:
    """Renormalised, the surviving edges into a state are all of it."""
    shape, positions = Shape(layers=4, heads=3), 8
    edges = edge_table(shape, positions=positions, seed=5)

    (found,) = in_browser(
        page,
        edges,
        shape,
        positions=positions,
        targets=[7],
        thresholds=[0.03],
        renormalise=True,
    )

    sums: dict[int, float] = defaultdict(float)
    for line in found["drawn"][0]["lines"]:
        assert line["weight"] == line["share"] > 0.99 * line["contribution"]
        sums[line["state"]] += line["share"]
    assert list(sums.values()) == pytest.approx([1.0] * len(sums))


def test_paths_lead_through_a_line(page: Page) -> None:
    """What stays bright: all that flows into the line, and where it flows to."""
    lines = [(0, 2, 2), (0, 2, 1), (1, 2, 0), (1, 1, 1), (1, 1, 0), (1, 0, 0)]

    found = page.evaluate(
        """(lines) => { SOURCE
        const net = netOf(lines.map(([row, query, key]) => ({ row, query, key })),
            [0, 1, 2].map(() => new Float64Array(3)), 2)
        const line = net.byRow[0][1]
        const through = pathsThrough(net, { what: "line", line })
        return [through.lines.map(({ row, query, key }) => [row, query, key]),
            through.live.map((states) => [...states])] }""".replace("SOURCE", SOURCE),
        lines,
    )

    assert found == [
        [[0, 2, 1], [1, 1, 1], [1, 1, 0]],
        [[0, 0, 1], [0, 1, 0], [1, 1, 0]],
    ]


def test_an_edge_at_the_threshold_is_not_drawn(page: Page) -> None:
    """The comparison is strict and in double, as in SQL."""
    shape = Shape(layers=3, heads=2)
    edges = edge_table(shape, positions=6, seed=1)
    values = np.unique(edges["contribution"].to_numpy().astype(float))[::20].tolist()

    (found,) = in_browser(
        page, edges, shape, positions=6, targets=[5], thresholds=values
    )

    survives = np.array(found["survives"])
    assert np.isin(values, survives).any()
    for tau, drawn in zip(values, found["drawn"], strict=True):
        assert drawn["count"] == (survives > tau).sum()


def test_packing_keeps_large_positions_and_no_head(page: Page) -> None:
    """Positions past 65,535 and a missing head come through."""
    edges = pa.table(
        {
            "layer": [0, 0],
            "step": ["attn", "attn"],
            "kind": ["attn", "resid"],
            "head": pa.array([31, None], pa.int16()),
            "query": [70_000, 70_000],
            "key": [65_536, 70_000],
            "contribution": [0.25, 0.75],
        }
    )
    packed = base64.b64encode(pack_edges(edges)).decode()

    back = page.evaluate(
        """(packed) => { SOURCE
        const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0))
        const edges = unpackEdges(bytes.buffer)
        const names = ["contribution", "query", "key", "head", "kind"]
        return names.map((name) => [...edges[name]]) }""".replace("SOURCE", SOURCE),
        packed,
    )

    assert back == [[0.25, 0.75], [70_000] * 2, [65_536, 70_000], [31, -1], [0, 1]]


def test_the_tooltip_of_a_line_lists_its_heads(page: Page) -> None:
    """Layer, kind, tokens, the sum, and what each head brings, the strongest first."""
    line = {
        "layer": 3,
        "kind": 0,
        "key": 1,
        "query": 2,
        "contribution": 0.3,
        "share": 0.5,
        "survives": 0.2,
        "heads": [
            {"head": 7, "contribution": 0.2},
            {"head": 0, "contribution": 0.1},
        ],
    }

    said = page.evaluate(
        """(line) => { SOURCE; TIP
        const tokens = ["<s>", "·a", "·b"]
        return describe({ what: "line", line }, { tokens }) }""".replace(
            "SOURCE", SOURCE
        ).replace("TIP", TIP),
        line,
    )

    assert said == {
        "title": "Layer 3 · attention, 2 heads",
        "tokens": "·a (1) → ·b (2)",
        "rows": [
            ["contribution", "0.300"],
            ["share of what is left here", "50 %"],
            ["survives to", "0.200"],
        ],
        "heads": [["head 7", "0.200"], ["head 0", "0.100"]],
    }
