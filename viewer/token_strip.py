"""The prompt as a strip of tokens, of which one is the target."""

from pathlib import Path

import param
from panel.custom import JSComponent


class TokenStrip(JSComponent):
    """A token per chip; `target` goes both ways."""

    tokens = param.List([], item_type=str, doc="White space made visible.")
    predictions = param.List([], item_type=str, doc="Top token at each position.")
    stored_targets = param.List([], item_type=int, doc="Positions the sweep traced.")
    special = param.List([], item_type=int, doc="Positions of start tokens.")
    target = param.Integer(0, bounds=(0, None))

    _esm = Path(__file__).parent / "token_strip.js"
