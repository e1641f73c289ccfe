"""What goes where in a plot, to choose: a row of native selects."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent


class PlotChoices(JSComponent):
    """Shows choices; says which was made.

    Panel's own selects send their options and their value one after the other, so that
    for a moment the value is none of the options.
    """

    choices = param.List([], doc="Dicts as `choice` makes them.")

    _esm = Path(__file__).parent / "plot_choices.js"

    def __init__(self, on_choose: Callable[[str, str], None], **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._on_choose = on_choose

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        key, value = msg["choose"]
        self._on_choose(str(key), str(value))


def choice(
    key: str, label: str, values: Sequence[str], value: str, *, none: str = ""
) -> dict[str, Any]:
    """One select; with `none`, nothing can be chosen too, by that name."""
    options = [[name, name] for name in values]
    if none:
        options.insert(0, ["", none])
    return {"key": key, "label": label, "options": options, "value": value}
