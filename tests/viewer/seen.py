"""A prompt as the viewer shows it and as `trace` tells it, and how the two compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from flowglass.pipeline import trace
from flowglass.pipeline.tracing import Trace
from flowglass.viewer.app import App
from flowglass.viewer.inspector import Inspector
from flowglass.viewer.places import Attention, Ffn, Place, State
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.sections import Chips, Note, Table
from flowglass.viewer.theme import show_whitespace

WHOLE, SPARSE, BARE = "whole", "sparse", "bare"
OPTIONS: dict[str, dict[str, Any]] = {
    WHOLE: {"model": "tiny-llama", "project": "all", "tensors": "dense"},
    SPARSE: {"model": "tiny-gpt2"},
    BARE: {"model": "tiny-llama", "project": "none", "neurons": 0},
}


S = TypeVar("S", Chips, Note, Table)


@dataclass(frozen=True)
class Seen:
    """A prompt of a run in a session, and the same traced."""

    app: App
    trace: Trace
    target: int

    def show(self, place: Place | None, **chosen: int | None) -> Inspector:
        """Choose a place; what is shown of it."""
        match place:
            case Attention(layer, query, key):
                selected = f"attn-{layer}-{query}-{key}"
            case Ffn(layer, position):
                selected = f"ffn-{layer}-{position}"
            case State(state, layer, position):
                at = f"-{position}" if state == "embed" else f"-{layer}-{position}"
                selected = state + at
            case None:
                selected = ""
        chosen = {"head": None, "neuron": None, **chosen}
        self.app.selection.param.update(selected=selected, **chosen)
        return self.app._prediction._inspector

    def rows(self, table: str, **where: object) -> list[dict[str, Any]]:
        """Rows of the trace."""
        found = getattr(self.trace, table).to_pylist()
        return [r for r in found if all(r[k] == v for k, v in where.items())]

    @property
    def edge(self) -> Attention:
        """The strongest attention edge into the target, all heads together."""
        edges = self.rows("edges", kind="attn", query=self.target)
        row = max(edges, key=lambda row: float(row["contribution"]))
        return Attention(row["layer"], row["query"], row["key"])


def seen_in(pulse: Pulse, run: str) -> Seen:
    """A session open on the run's prompt, and its trace."""
    app = App(pulse, path="runs/", query=f"?run={run}&prompt=0")
    shown = app._prediction._shown
    assert shown is not None
    asked = {name: shown.prompt[name] for name in ("answer", "distractor")}
    traced = trace(text=shown.prompt["text"], targets="answer", **OPTIONS[run], **asked)
    return Seen(app, traced, shown.default_target)


def only(kind: type[S], sections: Any, start: str = "") -> S:
    """The section of a kind whose caption begins so."""
    (found,) = (
        section
        for section in sections
        if isinstance(section, kind)
        and getattr(section, "caption", "").startswith(start)
    )
    return found


def sides(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Rows of promoted and suppressed tokens as the panels show them."""
    up, down = (
        sorted((r for r in rows if r["sign"] == sign), key=lambda r: r["rank"])
        for sign in (1, -1)
    )
    return [
        [
            show_whitespace(a["token"]),
            a["score"],
            show_whitespace(b["token"]),
            b["score"],
        ]
        for a, b in zip(up, down, strict=True)
    ]


def assert_same(shown: Any, expected: list[list[Any]]) -> None:
    """The same texts; the same numbers but for the last bits of a float32."""
    assert len(shown) == len(expected) > 0
    for one, other in zip(shown, expected, strict=True):
        assert list(one) == [
            pytest.approx(v, rel=1e-3, abs=1e-4) if isinstance(v, float) else v
            for v in other
        ]
