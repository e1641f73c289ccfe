"""The Selection and its query string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowglass.viewer.selection import KEYS, Selection

SELECTIONS = st.fixed_dictionaries(
    {
        "run": st.text(max_size=20),
        "prompt": st.none() | st.integers(0, 10**9),
        "target": st.none() | st.integers(0, 10**5),
        "threshold": st.floats(0.01, 0.2),
        "selected": st.sampled_from(
            ["", "attn-3-10-4", "ffn-0-2", "mid-1-9", "embed-5"]
        ),
        "head": st.none() | st.integers(0, 200),
        "neuron": st.none() | st.integers(0, 10**5),
        "renormalise": st.booleans(),
        "strongest": st.none() | st.integers(1, 10**5),
        "layers": st.sampled_from(["", "0-11"]),
        "positions": st.sampled_from(["", "3-40"]),
        "view": st.sampled_from(["", "routes"]),
        "tau": st.sampled_from([0.01, 0.08]),
        "least": st.floats(0, 1),
        "search": st.text(max_size=20),
        "dataset": st.text(max_size=20),
        "category": st.text(max_size=20),
        "sort": st.sampled_from(["", "text", "-predicted_prob"]),
        "page": st.integers(1, 10**6),
        "theme": st.sampled_from(["", "dark"]),
    }
)


@given(SELECTIONS)
def test_a_query_string_carries_every_selection(values: dict[str, object]) -> None:
    """What was dumped to the address is loaded from it, whatever the text."""
    there = Selection(**values)
    here = Selection(search="something else", page=7)

    here.load(there.query())

    unsaid = {key: Selection.param[key].default for key in KEYS}
    assert {key: getattr(here, key) for key in KEYS} == unsaid | values


def test_the_default_selection_leaves_the_address_clean() -> None:
    """Only what differs from the default is written."""
    assert Selection().query() == ""
    assert Selection(page=2).query() == "?page=2"


@pytest.mark.parametrize(
    "query",
    [
        "?prompt=three",
        "?prompt=-1",
        "?page=0",
        "?threshold=0.9",
        "?threshold=nan",
        "?threshold=",
        "?theme=pink",
        "?unknown=1",
        "?&&==",
        "nonsense",
    ],
)
def test_a_broken_link_opens_something(query: str) -> None:
    """A value that means nothing is left at its default."""
    selection = Selection()

    selection.load(query)

    assert selection.query() == ""


def test_loading_is_one_change() -> None:
    """Whoever watches several keys is told once, so that a page is shown once."""
    selection = Selection()
    told: list[set[str]] = []
    selection.param.watch(
        lambda *events: told.append({event.name for event in events}),
        ["run", "prompt", "page"],
    )

    selection.load("?run=a&prompt=2&page=3")

    assert told == [{"run", "prompt", "page"}]
