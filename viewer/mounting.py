"""The pages of a session below its head: which are mounted, and which one is shown.

To make a page's components is most of what a session costs, so a session begins with
the page that it opens with. Pages then stay mounted and are shown or hidden, which is
several times faster than building them anew.
"""

from typing import Any

import panel as pn
import param


class Mounted:
    """Page roots, one of them visible."""

    def __init__(self) -> None:
        self.root = pn.Column(sizing_mode="stretch_width", margin=0)

    @property
    def shown(self) -> Any:
        """The root that is visible."""
        return next(root for root in self.root if root.visible)

    def turn_to(self, root: Any) -> None:
        """Show this root and no other; its components are made if they are not.

        Only here: whatever is mounted, all that is on the page is laid out anew.
        """
        for each in self.root:
            each.visible = each is root
        root.visible = True
        if root not in self.root.objects:
            self.root.append(root)


def name_page(root: Any, key: str) -> None:
    """Let the browser find a page's root by its name."""
    with param.edit_constant(root):
        root.name = f"page-{key}"
