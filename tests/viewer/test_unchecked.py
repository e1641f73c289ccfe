"""Bokeh without its checks: what it sends is what it sends with them."""

from collections.abc import Iterator

import panel as pn
import pytest
from bokeh.core.property.bases import Property
from bokeh.core.serialization import Serializer
from bokeh.models import Rect

from flowglass.viewer.unchecked import set_unchecked


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a running viewer."""
    monkeypatch.setattr(Property, "is_valid", Property.is_valid)
    set_unchecked()
    yield
    pn.config.disable_validation = False


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("colour", {"type": "field", "field": "colour"}),
        ({"field": "colour"}, {"type": "field", "field": "colour"}),
        ("#123456", {"type": "value", "value": "#123456"}),
        (None, {"type": "value", "value": None}),
    ],
)
def test_a_column_of_colours_is_no_colour(
    unchecked: None, given: object, sent: object
) -> None:
    """Else the browser cannot draw a page that has such a figure."""
    made = Rect(fill_color=given)

    assert Serializer().encode(made)["attributes"]["fill_color"] == sent
    assert not Property._should_validate
