"""The head of the page that Panel sends, without looking for its files each time.

For every page Panel asks each class of component there is which style sheets and
scripts it brings, and whether their files exist: a tenth of what a session costs, and
the same for all of them.
"""

from collections.abc import Callable

from panel.io.resources import Resources
from panel.io.state import state
from panel.reactive import ReactiveCustomBase
from panel.util import _descendents

Scan = Callable[[Resources, list[str], str], None]


def remember_files() -> None:
    """Have Panel look once for every set of classes; a test holds its private shape."""
    Resources.extra_resources = remembering(  # type: ignore[method-assign]
        Resources.extra_resources
    )


def remembering(scan: Scan) -> Scan:
    """The same answers, looked for again only once there are more classes."""
    known: dict[tuple[str, str, str | None, int], list[str]] = {}

    def extra_resources(self: Resources, resources: list[str], kind: str) -> None:
        classes = len(_descendents(ReactiveCustomBase))
        key = kind, self.mode, state.rel_path, classes
        if key not in known:
            known[key] = []
            scan(self, known[key], kind)
        resources += [each for each in known[key] if each not in resources]

    return extra_resources
