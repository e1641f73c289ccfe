"""Where a row of a result leads, and how its values are shown."""

import pyarrow as pa
import pytest

from flowglass.viewer.result_cells import cells_of
from flowglass.viewer.row_links import link_of, run_of_query

VIEWS = ("head", "ffn", "neuron")


@pytest.mark.parametrize(
    ("row", "leads_to"),
    [
        ({"prompt_id": 3}, "prompt=3"),
        ({"prompt_id": 3, "target": 5, "layer": 1}, "prompt=3&target=5"),
        (
            {"prompt_id": 3, "layer": 1, "head": 2, "query": 9, "key": 4},
            "prompt=3&selected=attn-1-9-4&head=2",
        ),
        (
            {"prompt_id": 3, "layer": 1, "kind": "ffn", "head": None, "query": 9},
            "prompt=3&selected=ffn-1-9",
        ),
        (
            {"prompt_id": 3, "layer": 1, "neuron": 8, "position": 4},
            "prompt=3&selected=ffn-1-4&neuron=8",
        ),
        ({"layer": 1, "head": 2}, "view=head&head=2&layer=1"),
        (
            {"layer": 1, "component": "head", "index": 2},
            "view=head&head=2&layer=1",
        ),
        (
            {"layer": 1, "neuron": 7, "expert": 3},
            "view=neuron&neuron=7&layer=1&expert=3",
        ),
        ({"layer": 1, "neuron": 7, "expert": None}, "view=neuron&neuron=7&layer=1"),
        ({"layer": 1, "component": "ffn", "index": 0}, "view=ffn&layer=1"),
        ({"layer": 1, "component": "attn", "index": 0}, ""),
        ({"layer": -1, "head": 2}, ""),
        ({"layer": True, "head": 2}, ""),
        ({"prompt_id": -3}, ""),
        ({"prompt_id": "3"}, ""),
        ({"n": 3}, ""),
    ],
)
def test_columns_say_where_a_row_leads(row: dict[str, object], leads_to: str) -> None:
    """By the names that the tables give them; values that name nothing do not."""
    expected = f"?run=r&{leads_to}" if leads_to else ""
    assert link_of(row, run="r", views=VIEWS) == expected


def test_a_head_is_no_link_before_there_is_a_page_of_it() -> None:
    """A link must lead somewhere; the run of a row is its own."""
    assert link_of({"layer": 1, "head": 2}, run="r", views=()) == ""
    assert link_of({"run_id": "s", "n": 2}, run="r", views=()) == "?run=s"
    assert link_of({"run_id": None, "prompt_id": 2}, run="r", views=()) == ""
    assert link_of({"prompt_id": 2}, run=None, views=()) == ""


def test_the_run_of_rows_is_the_one_that_the_query_names() -> None:
    """Quoted as SQL quotes; two are none."""
    runs = ["it's", "b"]
    assert run_of_query("where run_id = 'it''s'", runs) == "it's"
    assert run_of_query("where run_id in ('it''s', 'b')", runs) is None
    assert run_of_query("from runs", ["b"]) == "b"


def test_values_are_shown_as_what_they_are() -> None:
    """White space of tokens, nulls, lists, bytes, times, digits that matter."""
    table = pa.table(
        {
            "token": [" a\n", None],
            "text": ["a b\n", "x" * 400],
            "share": [0.25, None],
            "tiny": [1.5e-7, float("nan")],
            "ids": [123456, -1],
            "yes": [True, False],
            "tokens": [["a", "é"], None],
            "raw": [b"\x01", b""],
        }
    )
    first, second = cells_of(table, table)
    assert first == [
        *("·a⏎", "a b⏎", "0.2500", "1.5e-07", "123456", "true"),
        *('["a", "é"]', "01"),
    ]
    assert second[0] == second[2] == second[6] == "null"
    assert second[1].endswith("…")
    assert second[3:6] == ["nan", "-1", "false"]
