"""Bokeh without its check of every value that is set, which is a tenth of a session.

Where its checks are off, Bokeh takes anything for valid, even where it only asks: the
name of a column becomes a colour, which no browser can read. Each change of a model
turns them off too, for all threads while it lasts. So it is answered truly here.
"""

from typing import Any

import panel as pn
from bokeh.core.property.bases import Property


def set_unchecked() -> None:
    """Check no value that is set; still tell a column's name from a colour."""
    pn.config.disable_validation = True
    Property.is_valid = _is_valid  # type: ignore[method-assign]


def _is_valid(self: Property[Any], value: Any) -> bool:
    try:
        self.validate(value, False)
    except ValueError:
        return False
    return True
