"""Keeps a session's page from watching what all sessions share."""

import panel as pn
from panel_material_ui.template.base import Page


def detach_busy(page: Page) -> None:
    """Stop a page from watching Panel's global `busy`.

    pmu's Page takes `busy` from the global state, which pins every session's page for
    ever and has each session's every event update all of them. A test holds this, as
    the shape of the watcher is private.
    """
    for watcher in list(pn.state.param.watchers.get("busy", {}).get("value", [])):
        wrapped = getattr(watcher.fn, "keywords", {})  # a partial while pn serves
        function = wrapped.get("function", watcher.fn)
        owner = getattr(getattr(function, "__self__", None), "self", None)
        if owner is page:
            pn.state.param.unwatch(watcher)
