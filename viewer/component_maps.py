"""Maps of components side by side, one for each group of targets: small multiples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import panel as pn

from .component_map import Cell, ComponentMap, Key, width_of
from .theme import LIGHT, Palette

CAPTION_STYLE = """
  :host { font-size: 13px; line-height: 1.4; color: var(--fg-text) }
  div { white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
  span { color: var(--fg-muted); display: block }
"""


@dataclass(frozen=True)
class GroupMap:
    """What one of the maps shows."""

    caption: str
    """HTML."""
    cells: dict[Key, Cell]


class ComponentMaps:
    """As many maps as groups; each that was made once is used again."""

    def __init__(
        self, name: str, *, room: tuple[int, int], on_open: Callable[[Key], None]
    ) -> None:
        self._name = name
        self._room = room
        self._on_open = on_open
        self._palette = LIGHT
        self.maps: list[ComponentMap] = []
        self._captions: list[pn.pane.HTML] = []
        self._boxes: list[pn.Column] = []
        self.root = pn.FlexBox(
            gap="14px 30px", sizing_mode="stretch_width", margin=0, visible=False
        )

    def show(self, groups: Sequence[GroupMap], *, layers: int, heads: int) -> None:
        """Show these groups of a model of this shape."""
        while len(self.maps) < len(groups):
            self._add()
        # Not hidden: hidden figures would keep Bokeh from laying out the others.
        self.root.objects = self._boxes[: len(groups)]
        for caption, group in zip(self._captions, groups, strict=False):
            caption.object = f"<div>{group.caption}</div>"
            caption.visible = bool(group.caption)
        pn.state.execute(lambda: self._fill(groups, layers, heads))
        self.root.visible = bool(groups)

    def width(self, layers: int, heads: int) -> int:
        """Of a map of a model of this shape, in pixels."""
        return width_of(layers, heads, self._room)

    def set_colours(self, palette: Palette) -> None:
        """Paint in a theme's colours."""
        self._palette = palette
        pn.state.execute(self._paint)

    def _paint(self) -> None:
        for each in self.maps:
            each.set_colours(self._palette)

    def _add(self) -> None:
        made = ComponentMap(
            f"{self._name}-{len(self.maps)}", room=self._room, on_open=self._on_open
        )
        made.set_colours(self._palette)
        caption = pn.pane.HTML(stylesheets=[CAPTION_STYLE], margin=(0, 0, 2, 0))
        self.maps.append(made)
        self._captions.append(caption)
        self._boxes.append(pn.Column(caption, made.root, margin=0))

    def _fill(self, groups: Sequence[GroupMap], layers: int, heads: int) -> None:
        for box, made, group in zip(self._boxes, self.maps, groups, strict=False):
            made.shape(layers, heads)
            box.width = width_of(layers, heads, self._room)
            made.fill(group.cells, missing="not known")
