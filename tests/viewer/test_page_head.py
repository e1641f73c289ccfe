"""The files that Panel's pages ask for are looked for once."""

from importlib import import_module

from panel.custom import JSComponent
from panel.io.resources import Resources

from flowglass.viewer.page_head import remembering

import_module("panel_material_ui")  # it brings a style sheet
KINDS = ("__css__", "_bundle_css", "__javascript__", "__javascript_modules__")


def test_the_same_files_are_found_once() -> None:
    """All that Panel finds, and what is there already not twice."""
    scanned, everything = [], []

    def scan(self: Resources, resources: list[str], kind: str) -> None:
        scanned.append(kind)
        Resources.extra_resources(self, resources, kind)

    remembered = remembering(scan)
    for kind in KINDS:
        files: list[str] = []
        Resources.extra_resources(Resources(mode="server"), files, kind)
        for _ in range(2):
            found = files[:1]
            remembered(Resources(mode="server"), found, kind)
            assert found == files
        everything += files
    assert scanned == list(KINDS)
    assert everything


def test_a_new_component_is_seen() -> None:
    """A page that is imported later may bring a style sheet."""
    remembered = remembering(Resources.extra_resources)
    before: list[str] = []
    remembered(Resources(mode="server"), before, "__css__")

    class Later(JSComponent):
        __css__ = ["static/extensions/later.css"]  # noqa: RUF012  # as Panel's do

    after: list[str] = []
    remembered(Resources(mode="server"), after, "__css__")
    assert [each for each in after if each not in before] == [*Later.__css__]
