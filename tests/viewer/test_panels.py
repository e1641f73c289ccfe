"""What the panels of the prediction page say is what `trace` says of the prompt."""

import base64
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from flowglass.pipeline import sweep
from flowglass.store import open_store
from flowglass.store.store import Store
from flowglass.viewer.app import App
from flowglass.viewer.edge_panel import LATER, NOT_STORED
from flowglass.viewer.ffn_panel import chip_value, ffn_sections
from flowglass.viewer.inspector import choose
from flowglass.viewer.places import Attention, Ffn, State
from flowglass.viewer.prediction import Prediction
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.sections import Chips, Note, Table
from flowglass.viewer.selection import Selection
from flowglass.viewer.theme import show_whitespace
from tests.store import hand_made
from tests.store.builders import make_plan, prompt

from .conftest import PARALLEL
from .seen import BARE, OPTIONS, SPARSE, WHOLE, Seen, assert_same, only, seen_in, sides

ROUNDING = 2**-7
"""Contributions are stored with 7 bits."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One prompt of the bundled models, with much, usual and little stored."""
    root: Path = tmp_path_factory.mktemp("panels") / "runs"
    for run, options in OPTIONS.items():
        sweep(data="ioi", limit=1, targets="answer", run=run, store=root, **options)
    with open_store(root) as opened:
        yield opened


@pytest.fixture(scope="module")
def seen(store: Store) -> Iterator[dict[str, Seen]]:
    """The prompt in a session on each run."""
    with Pulse(store) as pulse:
        yield {run: seen_in(pulse, run) for run in OPTIONS}


@pytest.mark.parametrize("run", [WHOLE, SPARSE])
def test_an_edge_shows_its_heads_and_the_maps_of_one(
    seen: dict[str, Seen], run: str
) -> None:
    """Strongest first and chosen; another when asked; maps to a rounding step."""
    here = seen[run]
    edge = here.edge
    rows = here.rows(
        "edges", kind="attn", layer=edge.layer, query=edge.query, key=edge.key
    )
    inspector = here.show(edge)

    chips = only(Chips, inspector.above.sections)
    by_head = {row["head"]: row["contribution"] for row in rows}
    assert {c.value for c in chips.chips} == by_head.keys()
    assert chips.chosen == max(by_head, key=lambda head: by_head[head])
    for chip in chips.chips:
        shown = pytest.approx(by_head[chip.value], rel=ROUNDING, abs=1e-3)
        assert float(chip.detail) == shown

    head = chips.chips[-1].value
    inspector = here.show(edge, head=head)
    assert only(Chips, inspector.above.sections).chosen == head
    maps = inspector.maps
    for drawn, exact in (
        (maps.attention.values, here.trace.attention(edge.layer, head)),
        (maps.contribution.values, here.trace.contributions(edge.layer, head)),
    ):
        known = drawn >= 0
        assert (drawn[np.triu_indices(len(drawn), 1)] == LATER).all()
        assert (known | (drawn == LATER)).all() == (run == WHOLE)
        assert np.allclose(drawn[known], exact[known], rtol=ROUNDING, atol=1e-3)
        if run == SPARSE:
            parts = here.trace.contributions(edge.layer, head)
            assert (parts[drawn == NOT_STORED] < 0.01).all()
    written = here.rows(
        "writes", component="head", layer=edge.layer, index=head, position=edge.query
    )
    if written:
        assert_same(only(Table, inspector.below.sections).rows, sides(written))
    assert written or run == SPARSE


def test_a_state_shows_its_lens_and_what_was_written(seen: dict[str, Seen]) -> None:
    """Tokens, logits, probabilities, places and their change; the block's tokens."""
    here = seen[WHOLE]
    for place, block in (
        (State("mid", 2, here.target), "attn"),
        (State("post", 2, here.target), "ffn"),
    ):
        sections = here.show(place).above.sections
        expected = [
            [
                row["rank"] + 1,
                show_whitespace(row["token"]),
                row["logit"],
                row["prob"],
                row["rank_before"] + 1,
                row["rank_before"] - row["rank"],
            ]
            for row in here.rows(
                "lens", layer=2, state=place.state, position=here.target
            )
        ]
        assert_same(only(Table, sections, "Logit lens").rows, expected)
        written = here.rows("writes", component=block, layer=2, position=here.target)
        last = sections[-1]
        assert isinstance(last, Table)
        assert_same(last.rows, sides(written))

    (first,) = (
        s
        for s in here.show(State("embed", -1, 3)).above.sections
        if isinstance(s, Table)
    )
    assert all(row[4] is None and row[5] is None for row in first.rows)


@pytest.mark.parametrize("run", [WHOLE, SPARSE])
def test_an_ffn_shows_its_neurons_and_their_tokens(
    seen: dict[str, Seen], run: str
) -> None:
    """In the order of contribution, with signs; tokens here and of the weights."""
    here = seen[run]
    layer, position = 3, here.target
    rows = here.rows("neurons", layer=layer, position=position)
    rows.sort(key=lambda row: int(row["rank"]))
    second = rows[1]["neuron"]

    sections = here.show(Ffn(layer, position), neuron=second).above.sections

    chips = only(Chips, sections, "Neurons")
    assert [chip.value for chip in chips.chips] == [row["neuron"] for row in rows]
    assert chips.chosen == second
    for chip, row in zip(chips.chips, rows, strict=True):
        shown = float(chip.detail.replace("\u2212", "-"))
        assert shown == pytest.approx(row["activation"], rel=ROUNDING, abs=0.006)
        assert chip.sign == np.sign(row["activation"])
    at = {"layer": layer, "position": position}
    here_alone = here.rows("writes", component="neuron", index=second, **at)
    name = f"Neuron {second}"
    assert_same(only(Table, sections, f"{name} here").rows, sides(here_alone))
    weights = here.rows("neuron_vocab", layer=layer, neuron=second)
    assert_same(only(Table, sections, f"{name}, its weights").rows, sides(weights))
    block = here.rows("writes", component="ffn", **at)
    assert_same(only(Table, sections, "The whole FFN").rows, sides(block))
    links = [note.opens for note in sections if isinstance(note, Note) and note.link]
    assert [(to["view"], to["layer"]) for to in links] == [("ffn", 3), ("neuron", 3)]


@pytest.mark.parametrize("run", [WHOLE, SPARSE])
def test_the_attribution_adds_up_to_the_logits(seen: dict[str, Seen], run: str) -> None:
    """Row by row as traced; its sum is the logit that the lens reads last."""
    here = seen[run]
    here.app.selection.target = here.target
    sections = here.app._prediction._attribution.sections
    table = only(Table, sections, "Heads")

    traced: dict[str, dict[Any, float]] = {"predicted": {}, "distractor": {}}
    for row in here.rows("logit_attribution", target=here.target):
        if row["component"] != "neuron" and row["role"] in traced:
            key = (row["layer"], row["component"], row["index"])
            traced[row["role"]][key] = row["value"]
    predicted, distractor = traced.values()
    assert len(table.rows) == len(predicted)
    found = sorted((row[1], row[2]) for row in table.rows)
    wanted = sorted((v, v - distractor[k]) for k, v in predicted.items())
    assert np.allclose(found, wanted, atol=1e-3)  # predicted is the answer here
    (top, *_) = here.rows("lens", state="post", layer=3, position=here.target, rank=0)
    total, logit = table.foot[-2:]
    assert total[1] == pytest.approx(top["logit"], abs=1e-3)
    assert logit[1] == pytest.approx(top["logit"], abs=1e-3)
    assert total[2] == pytest.approx(logit[2], abs=0.01)
    assert "add up to the logit." in only(Note, sections).text


def test_what_was_not_stored_names_the_option(seen: dict[str, Seen]) -> None:
    """Projections, neurons, whole maps and targets, each where it would be."""

    def said(sections: Any) -> str:
        texts = (getattr(s, n, "") for s in sections for n in ("text", "note", "empty"))
        return " ".join(texts)

    bare = seen[BARE]
    assert "`--project all`" in said(bare.show(State("mid", 1, 3)).above.sections)
    assert "`--neurons 16`" in said(bare.show(Ffn(1, 3)).above.sections)
    assert "`--tensors dense`" in said(bare.show(bare.edge).above.sections)
    bare.app.selection.target = 3
    assert "`--targets all`" in said(bare.app._prediction._attribution.sections)
    nowhere = bare.show(Attention(99, 3, 1)).above.sections
    assert "no place in this prompt" in said(nowhere)


def test_every_download_is_what_its_query_finds(
    seen: dict[str, Seen], store: Store
) -> None:
    """Row for row; whole maps are bytes in the store, and only there."""
    here = seen[WHOLE]
    here.app.selection.target = here.target
    tried = set()
    for place in (None, here.edge, Ffn(3, here.target), State("mid", 2, here.target)):
        inspector = here.show(place)
        sheets = (inspector.above, inspector.below, here.app._prediction._attribution)
        for extract in (e for sheet in sheets for e in sheet.extracts):
            if extract is None or extract.sql.startswith("-- lower triangles"):
                continue
            again = store.table(extract.sql)
            assert again.to_pylist() == extract.table.to_pylist(), extract.name
            tried.add(extract.name)
    assert len(tried) >= 10


def test_a_parallel_block_has_no_middle_and_two_writers(store_path: Path) -> None:
    """Its only state is after both; the middle is no place."""
    with open_store(store_path) as store, Pulse(store) as pulse:
        app = App(pulse, path="", query=f"?run={PARALLEL}&prompt=0&selected=post-1-3")
        sections = app._prediction._inspector.above.sections
        assert [s.caption.split()[0] for s in sections if isinstance(s, Table)] == [
            "Logit",
            "Attention",
            "The",
        ]
        app.selection.selected = "mid-1-3"
        (note,) = (
            s for s in app._prediction._inspector.above.sections if isinstance(s, Note)
        )
        assert "no place" in note.text


def test_the_strip_tells_of_every_token(seen: dict[str, Seen]) -> None:
    """Surprisal as traced, the prediction, and how the answer fared, in words."""
    here = seen[WHOLE]
    strip = here.app._prediction._strip
    logprobs = here.trace.tokens["logprob"].to_pylist()
    assert strip.surprisals[0] is None
    assert strip.surprisals[1:] == pytest.approx([-v for v in logprobs[1:]], abs=1e-3)
    assert "predicts ·" in strip.told[here.target]
    assert "the answer comes first" in strip.told[here.target]
    assert "came first" in strip.summary


def test_a_files_bytes_are_the_rows(seen: dict[str, Seen]) -> None:
    """The browser is sent a file's name, type and bytes."""
    here = seen[WHOLE]
    sheet = here.show(here.edge).above
    sent: list[Any] = []
    sheet._send_msg = sent.append  # type: ignore[method-assign]

    place = next(i for i, e in enumerate(sheet.extracts) if e is not None)
    sheet._handle_msg({"download": [place, "parquet"]})
    sheet._handle_msg({"download": [place, "csv"]})

    extract = sheet.extracts[place]
    assert extract is not None
    parquet, csv = (base64.b64decode(message["base64"]) for message in sent)
    assert pa.parquet.read_table(pa.BufferReader(parquet)).equals(extract.table)
    assert csv.decode().splitlines()[0] == '"head","contribution","attention"'
    assert sent[1]["file"].endswith(".csv")


def test_neurons_of_experts_are_told_apart() -> None:
    """Both have the number 5; the address holds which is meant, and a new place
    forgets it."""
    rows = [{"expert": of, "neuron": 5} for of in (None, 1, -1)]
    assert [chip_value(row) for row in rows] == [5, "1:5", "-1:5"]
    selection = Selection(run="r", prompt=0, selected="ffn-0-1")

    choose(selection, {"neuron": "-1:5"})
    assert (selection.neuron, selection.expert) == (5, -1)
    assert "neuron=5" in selection.query()
    assert "expert=-1" in selection.query()

    choose(selection, {"selected": "ffn-0-2"})
    assert (selection.neuron, selection.expert) == (None, None)


@pytest.mark.parametrize(("expert", "chosen"), [(1, "1:5"), (-1, "-1:5"), (3, "1:5")])
def test_the_chosen_experts_neuron_is_shown(
    tmp_path: Path, expert: int, chosen: str
) -> None:
    """One that is not there is not: the strongest is."""
    at = {"layer": 0, "position": 1, "neuron": 5, "prompt_id": 0}
    rows = [
        {**at, "expert": of, "activation": 1.0, "rank": rank, "contribution": 0.5}
        for rank, of in enumerate((1, -1))
    ]
    hand_made.write(
        tmp_path, make_plan("moe", n_shards=1), prompts=[prompt(0)], neurons=rows
    )
    with open_store(tmp_path) as store:
        (run,) = store.runs().to_pylist()
        seen = SimpleNamespace(
            key=("moe", 0), run=run, targets=[], tokens=[], name=lambda _: ""
        )
        prediction = cast(Prediction, seen)
        sections = ffn_sections(store, prediction, Ffn(0, 1), neuron=5, expert=expert)
    chips = only(Chips, sections, "Neurons")
    assert [chip.value for chip in chips.chips] == ["1:5", "-1:5"]
    assert chips.chosen == chosen
