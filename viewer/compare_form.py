"""The form of a comparison: two conditions, a second run, a measure."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent


class CompareForm(JSComponent):
    """Sent as a whole: what is typed stays in the browser until then."""

    values = param.Dict({}, doc="What stands in the fields: a, b, other, measure, tau.")
    conditions = param.List([], doc="To choose from: conditions with what they mean.")
    runs = param.List([], item_type=str, doc="Other runs of the same shape.")
    measures = param.List([], doc="Pairs: a measure's name, and its title.")
    taus = param.List([], item_type=float)

    _esm = Path(__file__).parent / "compare_form.js"

    def __init__(self, on_ask: Callable[[dict[str, Any]], None], **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._on_ask = on_ask

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        self._on_ask(dict(msg["ask"]))
