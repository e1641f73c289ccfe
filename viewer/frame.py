"""What stands around every page: Material's Page, dressed as this viewer is."""

from collections.abc import Sequence
from typing import Any

from panel_material_ui.template.base import Page

from .busy import detach_busy
from .theme import material_theme, stylesheet

NAME = "flowglass"

HEAD_STYLE = {
    ".MuiAppBar-root": {
        "backgroundColor": "background.paper",
        "backgroundImage": "none",
        "color": "text.primary",
        "boxShadow": "none",
        "borderBottom": "1px solid",
        "borderColor": "divider",
    },
    ".MuiToolbar-root": {"minHeight": "52px !important"},
    # What pmu's Page has of its own: a heading without words, and a bar for Panel's
    # `busy`, which `detach_busy` keeps still.
    ".MuiToolbar-root > .MuiTypography-h5, .MuiLinearProgress-root": {
        "display": "none"
    },
}


def frame(*, header: Sequence[Any], main: Sequence[Any], dark: bool) -> Page:
    """The page that Panel serves."""
    page = Page(
        meta_title=NAME,
        header=list(header),
        main=list(main),
        stylesheets=[stylesheet()],
        theme_config=material_theme(),
        dark_theme=dark,
        busy_indicator=None,
        sx=HEAD_STYLE,
    )
    detach_busy(page)
    return page
