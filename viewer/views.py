"""The pages about a whole run: their names in the address, and what they are given.

A page is built when it is first opened and then stays mounted, hidden or shown.
"""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, cast

from flowglass.store.store import Store

from .loading import LoadingBar
from .prediction import Row
from .pulse import Pulse
from .selection import Selection


@dataclass(frozen=True)
class Desk:
    """What every page of a session works with."""

    store: Store
    selection: Selection
    pulse: Pulse
    path: str
    """The store, as the command line named it."""
    loading: LoadingBar = field(default_factory=LoadingBar)
    """To be shown while something is read; the session's, on its page."""


class View(Protocol):
    """A page about a run."""

    root: Any
    """What is mounted; the App alone sets its `visible`."""

    def show(self, run: Row) -> None:
        """Show this row of `runs` as the Selection wants it; called whenever the page
        is turned to and whenever the run changes. What else of the Selection a page
        follows it watches itself, and heeds while `root.visible`."""

    def set_dark(self, dark: bool) -> None:
        """Repaint in the other colours what is no CSS."""

    def name(self) -> str:
        """What is open on this page, such as `layer 3 head 2`; empty: the page."""


@dataclass(frozen=True)
class Kind:
    """A page that can be built."""

    title: str
    module: str
    """Of this folder; imported when the page is first opened."""
    maker: str
    """The class there; it takes a Desk."""
    is_listed: bool = True
    """Whether it stands in the bar of pages; else links lead to it."""


VIEWS: dict[str, Kind] = {
    "components": Kind("Components", "components_page", "ComponentsPage"),
    "compare": Kind("Compare", "compare_page", "ComparePage"),
    "routes": Kind("Routes", "routes_page", "RoutesPage"),
    "head": Kind("Head", "head_page", "HeadPage", is_listed=False),
    "ffn": Kind("FFN", "ffn_page", "FfnPage", is_listed=False),
    "neuron": Kind("Neuron", "neuron_page", "NeuronPage", is_listed=False),
    "token": Kind("Tokens", "token_page", "TokenPage"),
    "sql": Kind("SQL", "sql_page", "SqlPage"),
}


def build(kind: Kind, desk: Desk) -> View:
    """The page, made for a session."""
    module = import_module(f".{kind.module}", __package__)
    return cast(View, getattr(module, kind.maker)(desk))
