"""The Components page without a browser: what it shows is what the store says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bokeh.events import Tap

from flowglass.pipeline import sweep
from flowglass.store import open_store
from flowglass.store.component_queries import MEASURES, component_map
from flowglass.store.facets import TOKEN_CLASS
from flowglass.store.shares import layer_shares
from flowglass.store.store import Store
from flowglass.viewer.component_map import ComponentMap
from flowglass.viewer.components_page import ComponentsPage
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.selection import Selection
from flowglass.viewer.shares_plot import PARALLEL, SharesPlot
from flowglass.viewer.theme import DARK, LIGHT
from flowglass.viewer.views import VIEWS, Desk, build

from .conftest import TINY
from .synthetic import write_run
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape

RUN = "gpt2"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Eight prompts each of two tasks, through a bundled model."""
    root = tmp_path_factory.mktemp("components") / "runs"
    data = ["ioi", "facts"]
    sweep(model="tiny-gpt2", data=data, store=root, run=RUN, limit=8, targets="answer")
    with open_store(root) as opened:
        yield opened


def page_on(store: Store, run_id: str = RUN, query: str = "") -> ComponentsPage:
    """The page of a session that opened an address."""
    selection = Selection()
    selection.load(query)
    page = build(VIEWS["components"], Desk(store, selection, Pulse(store), "runs/"))
    assert isinstance(page, ComponentsPage)
    (run,) = (r for r in store.runs().to_pylist() if r["run_id"] == run_id)
    page.show(run)
    return page


def shown_in(map: ComponentMap) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Value and strength by component."""
    data = map._cells.data
    columns = zip(data["name"], data["value"], data["strength"], strict=True)
    return {name: (value, strength) for name, value, strength in columns}


def named(row: dict[str, Any]) -> str:
    what = "FFN" if row["component"] == "ffn" else f"head {row['index']}"
    return f"Layer {row['layer']} · {what}"


@pytest.mark.parametrize("key", MEASURES)
def test_the_map_shows_what_the_store_says(store: Store, key: str) -> None:
    """Every component's value; the strongest heads are a table of links."""
    page = page_on(store, query=f"?measure={key}")
    rows = component_map(store, RUN, measure=key).table.to_pylist()

    shown = shown_in(page._map.maps[0])
    measure = {"frequency": "{:.1%}", "contribution": "{:.3f}"}.get(key, "{:+.3f}")
    for row in rows:
        said = measure.format(row["value"]).replace("%", " %").replace("-", "\u2212")
        assert shown[named(row)][0] == said
    assert len(shown) == len(rows)
    heads = [row for row in rows if row["component"] == "head"]
    first = max(heads, key=lambda row: abs(row["value"]))
    (table,) = page._strongest.sections
    assert table.rows[0][1] == first["value"]
    where = {"view": "head", "layer": first["layer"], "head": first["index"]}
    assert table.opens[0] == where
    assert page._head.note.startswith("The ")
    assert f"{first['n_targets']} targets of 16 prompts" in page._head.note


def test_the_threshold_changes_the_map(store: Store) -> None:
    """The slider writes the address, and the map follows; other measures have none."""
    page = page_on(store)
    before = shown_in(page._map.maps[0])

    page._tau.value = 0.08

    assert page._selection.tau == 0.08
    rows = component_map(store, RUN, tau=0.08).table.to_pylist()
    after = shown_in(page._map.maps[0])
    assert {named(r): f"{100 * r['value']:.1f} %" for r in rows} == {
        name: value for name, (value, _) in after.items()
    }
    assert after != before
    assert "threshold 0.08" in page._head.note
    page._selection.measure = "logit"
    assert not page._tau.visible


@pytest.mark.parametrize("facet", ["category", "relation", TOKEN_CLASS])
def test_a_split_gives_each_group_a_map_and_a_plot(store: Store, facet: str) -> None:
    """In the order of their sizes, in colours that mean the same in all."""
    page = page_on(store)
    page._facet.value = facet

    assert page._selection.facet == facet
    found = component_map(store, RUN, by=facet).table.to_pylist()
    groups = list(dict.fromkeys(row["facet"] for row in found))
    assert len(page._parts.root) == len(groups) > 1
    for group, map in zip(groups, page._parts.maps, strict=False):
        mine = [row for row in found if row["facet"] == group]
        shown = shown_in(map)
        for row in mine:
            value, strength = shown[named(row)]
            assert value == f"{100 * row['value']:.1f} %"
            assert strength == pytest.approx(row["value"] ** 0.5)
    of_positions = layer_shares(store, RUN, by=facet).table["facet"].to_pylist()
    assert len(page._shares._beside) == len(set(of_positions))
    assert not page._shares._alone.objects

    page._facet.value = ""

    assert not page._parts.root.visible
    assert not page._shares._beside.visible
    assert page._shares._alone.objects


def test_a_click_opens_a_component(store: Store) -> None:
    """A cell of the large map or of a group's; the gaps open nothing."""
    page = page_on(store, query="?facet=category&threshold=0.1")
    whole, part = page._map.maps[0], page._parts.maps[1]

    whole._tapped(Tap(model=None, x=4.06, y=1.0))
    whole._tapped(Tap(model=None, x=2.0, y=7.0))
    assert page._selection.view == ""
    whole._tapped(Tap(model=None, x=4.6, y=1.0))
    assert (page._selection.view, page._selection.layer) == ("ffn", 1)
    page._selection.load("?facet=category&threshold=0.1")
    part._tapped(Tap(model=None, x=2.3, y=0.8))

    asked = {name: getattr(page._selection, name) for name in ("view", "layer", "head")}
    assert asked == {"view": "head", "layer": 1, "head": 2}
    assert page._selection.facet == ""


def test_what_is_taken_away_is_what_is_shown(store: Store) -> None:
    """Rows, and a query that finds them again, of each of the three figures."""
    page = page_on(store, query="?facet=dataset&measure=contribution")
    for head in (page._head, page._parts_head, page._shares._head):
        extract = head.extract()
        assert extract.table.num_rows > 1
        again = store.table(extract.sql).to_pylist()
        for one, other in zip(again, extract.table.to_pylist(), strict=True):
            assert one == pytest.approx(other, abs=1e-9)
        assert head.sql == extract.sql


def test_dark_changes_what_is_no_css(store: Store) -> None:
    """Cells that are there, cells that come, and curves."""
    page = page_on(store, query="?facet=dataset")
    page.set_dark(True)
    inks = {DARK.attn, DARK.ffn}
    for map in (page._map.maps[0], page._parts.maps[1]):
        assert set(map._cells.data["colour"]) == inks
    page._selection.measure = "logit"
    for map in (page._map.maps[0], page._parts.maps[1]):
        assert set(map._cells.data["colour"]) <= {DARK.plus, DARK.minus}
    page._selection.facet = "category"
    for plot in page._shares.parts:
        assert set(plot._sources["bands"].data["colour"]) <= inks | {DARK.resid}
        assert set(plot._sources["curves"].data["colour"]) == {
            *inks,
            DARK.resid,
            DARK.faint,
        }


def test_old_links_open_something(store: Store) -> None:
    """A measure that is not known is the first; a key that no prompt has is said."""
    page = page_on(store, query="?measure=beauty&facet=colour")
    assert page._measure.value == "frequency"
    assert "No prompt of this run says anything of" in page._parts_head.note
    assert len(shown_in(page._map.maps[0])) == 20


def test_what_is_not_stored_is_said(store_path: Path) -> None:
    """A made-up run without logits and shares: what to do, and no empty map."""
    with open_store(store_path) as store:
        page = page_on(store, TINY, "?measure=logit")
        assert "stored no logit attribution" in page._head.note
        assert "<code>--run</code>" in page._head.note
        assert not page._map.root.visible
        assert not page._strongest.visible
        assert "missing" in page._shares._head.note
        page._selection.measure = "difference"
        assert "<code>distractor</code>" in page._head.note
        page._selection.measure = ""
        assert page._map.root.visible


def test_thresholds_below_the_cutoff_are_not_offered(tmp_path: Path) -> None:
    """At a cutoff of 0.05 there is one; at 0.1 there is none, and it is said why."""
    prompts = [make_prompt(i) for i in range(6)]
    for cutoff in (0.05, 0.1):
        write_run(tmp_path, f"cut-{cutoff}", prompts, Shape(cutoff=cutoff))
    with open_store(tmp_path) as store:
        page = page_on(store, "cut-0.05")
        assert "threshold 0.08" in page._head.note
        page = page_on(store, "cut-0.1")
        assert "stores nothing below its cutoff 0.1" in page._head.note
        page._selection.measure = "contribution"
        assert len(shown_in(page._map.maps[0])) == 20


def test_curves_and_bands_are_the_shares() -> None:
    """Of a parallel block three curves; a band only where there is an interval."""
    rows = [
        {
            "step": "block",
            "part": part,
            "layer": layer,
            "share": share,
            "low": None if part == "ffn" else share - 0.1,
            "high": None if part == "ffn" else share + 0.1,
            "n_positions": 9,
        }
        for part, share in (("attn", 0.25), ("ffn", 0.15), ("resid", 0.6))
        for layer in (1, 0)
    ]
    plot = SharesPlot("shares", (300, 180))
    beside = [row | {"share": 0.5} for row in rows if row["part"] == "attn"]

    plot.fill(rows, parts=PARALLEL, beside=beside)

    curves = plot._sources["curves"].data
    drawn = zip(curves["colour"], curves["xs"], curves["ys"], strict=True)
    assert list(drawn) == [
        (LIGHT.faint, [0, 1], [0.5] * 2),
        (LIGHT.attn, [0, 1], [0.25] * 2),
        (LIGHT.ffn, [0, 1], [0.15] * 2),
        (LIGHT.resid, [0, 1], [0.6] * 2),
    ]
    bands = plot._sources["bands"].data
    assert bands["colour"] == [LIGHT.attn, LIGHT.resid]
    assert bands["ys"][0] == pytest.approx([0.15, 0.15, 0.35, 0.35])
    told = plot._sources["points"].data["told"]
    assert told[0] == "25.0 % (15.0 to 35.0 %), 9 positions"
    assert told[2] == "15.0 %, 9 positions"
