"""What `Selection.selected` names: a place in one prediction."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attention:
    """What one position of a layer reads from another, all heads."""

    layer: int
    query: int
    key: int


@dataclass(frozen=True)
class Ffn:
    """The FFN of a layer at a position."""

    layer: int
    position: int


@dataclass(frozen=True)
class State:
    """A residual state; `embed` has layer -1."""

    state: str
    layer: int
    position: int


Place = Attention | Ffn | State


def place_of(selected: str) -> Place | None:
    """The place that is named, if any.

    >>> place_of("attn-2-14-3"), place_of("embed-5")
    (Attention(layer=2, query=14, key=3), State(state='embed', layer=-1, position=5))
    """
    what, *numbers = selected.split("-")
    match what, [int(number) for number in numbers]:
        case "attn", [layer, query, key]:
            return Attention(layer, query, key)
        case "ffn", [layer, position]:
            return Ffn(layer, position)
        case "embed", [position]:
            return State("embed", -1, position)
        case ("mid" | "post") as state, [layer, position]:
            return State(state, layer, position)
    return None


def exists(place: Place, *, layers: int, positions: int, parallel: bool) -> bool:
    """Whether a prompt of so many tokens has the place in such a model.

    >>> exists(State("mid", 0, 3), layers=4, positions=9, parallel=True)
    False
    """
    if isinstance(place, Attention):
        last = place.query if place.key <= place.query else positions
    else:
        last = place.position
    missing = parallel and isinstance(place, State) and place.state == "mid"
    return place.layer < layers and last < positions and not missing
