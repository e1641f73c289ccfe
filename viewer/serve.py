"""Serves a store's viewer from this machine, and lets the page reach nothing else."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import panel as pn
from panel.auth import BasicLoginHandler
from panel.io.resources import LOCAL_DIST
from panel.io.server import DocHandler

from flowglass.store.store import Store

from .address import LOOPBACK, allowed_origins
from .app import App
from .auth import choose_password, login_options
from .live import Live
from .page_head import remember_files
from .pulse import Pulse
from .stores import Stores

THREADS = 4
"""A slow question of one reader does not hold up another's."""

PATIENCE = {"unused_session_lifetime_milliseconds": 60_000}
"""How long a session waits for its browser: a slow one needs more than Bokeh's 15 s.
As the server takes it, which passes over options that it does not know."""


def serve(
    store: Store,
    *,
    path: str,
    host: str,
    port: int,
    open_browser: bool,
    models: Sequence[str] = (),
    auth: bool = False,
) -> None:
    """Serve the viewer of a store, which was given as `path`, until interrupted.

    Readers may try prompts on these models and the bundled ones.
    """
    origins = allowed_origins(host, port)
    protect(origins)
    pn.config.nthreads = THREADS  # type: ignore[misc]  # has a setter
    remember_files()
    pn.extension()
    print(
        f"flowglass shows {path} at http://{origins[0]}  (Ctrl+C stops it)", flush=True
    )
    login: dict[str, Any] = {}
    if auth:
        password, made = choose_password()
        login = login_options(password)
        if made:
            print(f"The password is {password}", flush=True)
    elif host not in LOOPBACK:
        print(
            "Anyone who can reach this machine can read the store and run prompts: "
            "--auth asks for a password.",
            flush=True,
        )
    signal.signal(signal.SIGTERM, _end)
    with (
        TemporaryDirectory(prefix="flowglass-") as folder,
        Stores(store, Path(folder) / "runs") as stores,
        Pulse(stores) as pulse,
        Live(pulse, stores, Path(folder), path=path, models=models) as live,
    ):
        pn.serve(
            session(pulse, path, live),
            address=host,
            port=port,
            websocket_origin=origins,
            show=open_browser,
            verbose=False,
            title="flowglass",
            **PATIENCE,
            **login,
        )


def _end(*_: object) -> None:
    """A server that is told to end removes what it has put beside itself."""
    raise SystemExit(128 + signal.SIGTERM)


def session(pulse: Pulse, path: str, live: Live | None = None) -> Callable[[], Any]:
    """What Panel calls for every reader who opens the page."""

    def build() -> Any:
        # Panel points style sheets at its CDN until it sends the page, then here; but
        # the page of a session that a late websocket makes anew is never sent.
        document = pn.state.curdoc
        assert document is not None
        document.template_variables["dist_url"] = LOCAL_DIST
        location = pn.state.location
        query = location.search if location else ""
        return App(pulse, path=path, query=query, live=live).page

    return build


def protect(origins: list[str]) -> None:
    """Send a content security policy with every page: no request leaves the machine.

    Panel compiles its components in the browser, hence unsafe-eval and blob.
    """
    sockets = " ".join(f"ws://{origin}" for origin in origins)
    policy = "; ".join(
        [
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:",
            "style-src 'self' 'unsafe-inline'",
            "font-src 'self' data:",
            "img-src 'self' data: blob:",
            f"connect-src 'self' blob: data: {sockets}",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "frame-ancestors 'none'",
        ]
    )

    def set_headers(handler: Any) -> None:
        handler.set_header("Content-Security-Policy", policy)
        handler.set_header("Referrer-Policy", "no-referrer")

    # Tornado's own hook for this; Panel offers no other.
    for page in (DocHandler, BasicLoginHandler):
        page.set_default_headers = set_headers  # type: ignore[method-assign, assignment]
