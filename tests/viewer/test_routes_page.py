"""The page of routes in aggregate without a browser: it shows what the store says."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowglass.store import open_store
from flowglass.store.aggregate_edge import RoleEdge, examples_of_edge, heads_of_edge
from flowglass.store.aggregate_routes import AggregateRoutes, aggregate_routes
from flowglass.store.route_sample import route_sample
from flowglass.store.store import Store
from flowglass.viewer import routes_page
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.role_graph import FIGURES, MOSTLY
from flowglass.viewer.routes_page import RoutesPage
from flowglass.viewer.sections import Note, Table, Title
from flowglass.viewer.selection import Selection
from flowglass.viewer.theme import show_whitespace
from flowglass.viewer.views import VIEWS, Desk, build

from .conftest import PARALLEL, TINY

IOI = "?view=routes&dataset=ioi"
EDGE = ["layer", "step", "kind", "query_role", "key_role"]


@pytest.fixture(scope="module")
def store(demo_path: Path) -> Iterator[Store]:
    """Eight prompts of one task, their template's slots with them."""
    with open_store(demo_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def made_up(store_path: Path) -> Iterator[Store]:
    """Prompts of three datasets without templates; a sequential run, a parallel one."""
    with open_store(store_path) as opened:
        yield opened


def page_on(store: Store, query: str, run_id: str = "") -> RoutesPage:
    """The page of a session that opened an address."""
    selection = Selection()
    selection.load(query)
    page = build(VIEWS["routes"], Desk(store, selection, Pulse(store), "runs/"))
    assert isinstance(page, RoutesPage)
    run = next(r for r in store.runs().to_pylist() if run_id in ("", r["run_id"]))
    page.show(run)
    return page


def graph_of(store: Store, tau: float = 0.04, **cohort: str) -> AggregateRoutes:
    """What the store says of its first run."""
    (run_id, *_) = store.runs()["run_id"].to_pylist()
    return aggregate_routes(store, route_sample(store, run_id, **cohort), tau=tau)


def strongest(graph: AggregateRoutes) -> tuple[dict[str, Any], str]:
    """The attention edge into the target that brings most, and its name."""
    roles = graph.roles["role"].to_pylist()
    row = max(
        (
            row
            for row in graph.edges.to_pylist()
            if row["kind"] == "attn" and row["query_role"] == "target"
        ),
        key=lambda row: row["contribution"],
    )
    ends = [roles.index(row[role]) for role in ("query_role", "key_role")]
    return row, f"attn-{row['layer']}-{ends[0]}-{ends[1]}"


def only(page: RoutesPage, kind: Any, start: str = "") -> Any:
    """The section of a kind whose caption begins so."""
    (found,) = (
        section
        for section in page._sheet.sections
        if isinstance(section, kind)
        and getattr(section, "caption", "").startswith(start)
    )
    return found


def test_the_graph_is_what_the_store_says(store: Store) -> None:
    """Every edge with its ends, width and figures; a column for every role."""
    graph = graph_of(store, dataset="ioi")
    shown = page_on(store, IOI)._graph

    assert shown.tokens == graph.roles["role"].to_pylist()
    assert shown.target == len(shown.tokens) - 1
    (count,) = struct.unpack_from("<I", shown.edges)
    assert count == graph.edges.num_rows
    contribution, query, key = (
        np.frombuffer(shown.edges, kind, count, 4 + 4 * place * count)
        for place, kind in enumerate(["<f4", "<i4", "<i4"])
    )
    np.testing.assert_allclose(contribution, graph.edges["contribution"], rtol=1e-6)
    for role, column in (("query_role", query), ("key_role", key)):
        assert [shown.tokens[i] for i in column] == graph.edges[role].to_pylist()
    figures = np.frombuffer(shown.figures).reshape(len(FIGURES), count)
    for name, column in zip(FIGURES, figures, strict=True):
        expected = graph.edges[name].to_pandas().to_numpy(float)
        np.testing.assert_array_equal(column, expected)


def test_a_role_is_labelled_by_a_token_that_most_positions_have(store: Store) -> None:
    """`to` at the target; nothing over a slot that holds a different name each time."""
    graph = graph_of(store, dataset="ioi")
    shown = page_on(store, IOI)._graph
    for row, label, notes in zip(
        graph.roles.to_pylist(), shown.predictions, shown.notes, strict=True
    ):
        token = show_whitespace(row["token"])
        assert label == (token if row["token_share"] >= MOSTLY else "")
        assert notes[0] == [
            "targets with it",
            f"{row['n_targets']} of {graph.n_targets}",
        ]
    assert "" in shown.predictions
    assert "<|endoftext|>" in shown.predictions


def test_the_page_says_of_how_much(
    store: Store, made_up: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Targets and prompts, how positions line up, and what was not read."""
    graph = graph_of(store, dataset="ioi")
    said = page_on(store, IOI)._head.note
    assert f"threshold 0.04 of {graph.n_targets} targets in 8 prompts." in said
    assert "template's slots, in braces" in said

    assert "choose one" in page_on(made_up, "?view=routes", TINY)._head.note
    alone = page_on(made_up, "?view=routes&dataset=ioi", TINY)._head.note
    assert "choose one" not in alone
    assert "braces" not in alone

    real = routes_page.route_sample
    monkeypatch.setattr(
        routes_page,
        "route_sample",
        lambda *args, **kept: real(*args, **kept, most_rows=2000),
    )
    part = page_on(store, IOI)
    shown = part._shown
    assert shown
    assert 0 < shown.n_prompts < 8
    assert f"in {shown.n_prompts} prompt" in part._head.note
    assert ", of the 8 that there are" in part._head.note


def test_the_choices_are_the_selection(made_up: Store) -> None:
    """Dataset, category and tau both ways; another dataset forgets what was chosen."""
    page = page_on(made_up, "?view=routes&dataset=ioi&tau=0.08", TINY)
    selection = page._selection
    assert (page._dataset.value, page._tau.value) == ("ioi", 0.08)
    assert set(page._category.options.values()) == {"", "ABB"}
    assert page._shown
    assert page._shown.tau == 0.08

    page._tau.value = 0.02
    assert selection.tau == page._shown.tau == 0.02
    selection.param.update(category="ABB", selected="attn-0-1-0")
    page._dataset.value = "facts"
    assert (selection.dataset, selection.category, selection.selected) == (
        "facts",
        "",
        "",
    )


def test_the_graph_and_the_selection_follow_each_other(store: Store) -> None:
    """The least frequency, the ranges, and what is chosen."""
    page = page_on(store, IOI + "&least=0.45&layers=1-2")
    assert (page._graph.threshold, page._graph.layers) == (0.45, "1-2")
    page._graph.threshold = 0.2
    page._graph.selected = "ffn-1-2"
    assert (page._selection.least, page._selection.selected) == (0.2, "ffn-1-2")
    page._selection.param.update(least=0.6, selected="")
    assert (page._graph.threshold, page._graph.selected) == (0.6, "")


def test_nothing_chosen_lists_the_most_frequent_edges(store: Store) -> None:
    """A row leads to its edge."""
    page = page_on(store, IOI)
    table = only(page, Table)
    shares = [row[3] for row in table.rows]
    assert shares == sorted(shares, reverse=True)
    page._sheet._handle_msg({"choose": table.opens[0]})
    assert only(page, Title).tokens == table.rows[0][1:3]


def test_an_edge_shows_its_heads_and_prompts(store: Store) -> None:
    """Its numbers in words; a head's own; the prompts where it brings most."""
    graph = graph_of(store, dataset="ioi")
    row, name = strongest(graph)
    edge = RoleEdge(**{key: row[key] for key in EDGE})

    page = page_on(store, f"{IOI}&selected={name}")

    said = only(page, Note).text
    assert f"{row['n_in_route']} of {row['n_targets']} targets" in said
    assert f"{row['frequency']:.0%}" in said
    assert "too few prompts" in said
    heads = heads_of_edge(store, graph.sample, edge, n_targets=row["n_targets"]).table
    assert [r[0] for r in only(page, Table, "Heads").rows] == heads["head"].to_pylist()
    examples = examples_of_edge(store, graph.sample, edge).table.to_pylist()
    shown = only(page, Table, "Prompts")
    assert [r[0] for r in shown.rows] == [e["prompt_id"] for e in examples]
    assert [r[4] for r in shown.rows] == [e["contribution"] for e in examples]


def test_a_prompt_opens_with_its_target_and_edge(store: Store) -> None:
    """The prediction at the same threshold, the same edge by its own positions."""
    _, name = strongest(graph_of(store, tau=0.02, dataset="ioi"))
    page = page_on(store, f"{IOI}&tau=0.02&selected={name}")
    opens = only(page, Table, "Prompts").opens[0]

    page._sheet._handle_msg({"choose": opens})

    there = page._selection
    assert (there.view, there.dataset, there.least) == ("", "", 0.3)
    assert (there.prompt, there.target) == (opens["prompt"], opens["target"])
    assert there.threshold == 0.02
    assert re.fullmatch(rf"attn-\d+-{there.target}-\d+", there.selected)


@pytest.mark.parametrize(
    ("selected", "title", "caption"),
    [
        ("mid-3-{target}", "Layer 3 · after attention", "Edges into it"),
        ("post-3-{target}", "Layer 3 · after the FFN", "Edges into it"),
        ("ffn-0-{target}", "Layer 0 · FFN", "Prompts where it brings most"),
    ],
)
def test_a_state_and_an_ffn_show_what_is_there(
    store: Store, selected: str, title: str, caption: str
) -> None:
    """All edges into a state, by frequency; an FFN's numbers and prompts."""
    last = graph_of(store, dataset="ioi").roles.num_rows - 1
    page = page_on(store, f"{IOI}&selected={selected.format(target=last)}")
    assert (only(page, Title).text, only(page, Title).tokens) == (title, ["target"])
    assert only(page, Table).caption == caption
    assert only(page, Table).rows


@pytest.mark.parametrize("selected", ["attn-0-90-3", "attn-0-1-90", "ffn-0-90"])
def test_a_role_that_is_not_there_is_said(store: Store, selected: str) -> None:
    """As of an old link; nothing fails."""
    page = page_on(store, f"{IOI}&selected={selected}")
    assert only(page, Note).text == "This graph has no such role."


def test_an_edge_in_no_route_is_said(store: Store) -> None:
    """Nothing leads from the target to the first token."""
    page = page_on(store, f"{IOI}&selected=attn-0-0-1")
    assert only(page, Note).text == "No route holds it at threshold 0.04."


def test_a_parallel_model_has_its_own_steps(made_up: Store) -> None:
    """One step a layer: its FFN and attention are found, and no state between."""
    page = page_on(made_up, "?view=routes&selected=ffn-1-0", PARALLEL)
    assert page._graph.parallel
    last = len(page._graph.tokens) - 1
    page._selection.selected = f"ffn-1-{last}"
    assert only(page, Table, "Prompts").rows
    page._selection.selected = f"post-1-{last}"
    assert only(page, Title).text == "Layer 1 · after the block"


def test_a_choice_without_prompts_is_said(store: Store) -> None:
    """And the page comes back with another choice."""
    page = page_on(store, IOI + "&category=none")
    assert "No prompt of this choice" in page._head.note
    assert not page._body.visible
    page._selection.category = ""
    page.show(page._run or {})
    assert page._body.visible
