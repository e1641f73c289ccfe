"""A head's contributions and attention, one map beside the other."""

from collections.abc import Callable

import panel as pn

from .edge_panel import Maps
from .theme import DARK, LIGHT
from .token_map import TokenMap


class HeadMaps:
    """Both maps of a head; the one goes below the other where it is narrow."""

    def __init__(self, on_choose: Callable[[int, int], None]) -> None:
        self.contribution = TokenMap(
            "head-contribution", "Contribution", "attn", on_choose
        )
        self.attention = TokenMap("head-attention", "Attention", "accent", on_choose)
        self.set_dark(False)
        self.root = pn.FlexBox(
            self.contribution.root,
            self.attention.root,
            gap="6px 4px",
            sizing_mode="stretch_width",
            margin=(6, 0, 12, 0),
            visible=False,
        )

    def show(self, maps: Maps, tokens: list[str], *, pair: tuple[int, int]) -> None:
        """Show a head's maps, the cell of an edge (query, key) marked."""
        self.contribution.show(maps.contribution, tokens, pair=pair)
        self.attention.show(maps.attention, tokens, pair=pair)

    def set_dark(self, dark: bool) -> None:
        """Change the colours."""
        for each in (self.contribution, self.attention):
            each.set_colours(DARK if dark else LIGHT)
