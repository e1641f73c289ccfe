"""Serves a store's viewer from this machine, and lets the page reach nothing else."""

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
from panel.io.resources import LOCAL_DIST
from panel.io.server import DocHandler

from flowglass.store.store import Store, open_store

from .app import App
from .errors import ViewError

THREADS = 4
"""A slow question of one reader does not hold up another's."""

PATIENCE_MS = 60_000
"""How long a session waits for its browser: a slow one needs more than Bokeh's 15 s."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")


def serve(path: Path | str, *, host: str, port: int, open_browser: bool) -> None:
    """Serve the viewer of the store at `path` until interrupted."""
    check_port(host, port)
    with open_store(path) as store:
        origins = allowed_origins(host, port)
        protect(origins)
        pn.config.nthreads = THREADS  # type: ignore[misc]  # has a setter
        pn.extension()
        address = f"http://{origins[0]}"
        print(f"flowglass shows {path} at {address}  (Ctrl+C stops it)", flush=True)
        if host not in LOOPBACK:
            print("Anyone who can reach this machine can read the store.", flush=True)
        pn.serve(
            session(store, str(path)),
            address=host,
            port=port,
            websocket_origin=origins,
            show=open_browser,
            verbose=False,
            title="flowglass",
            unused_session_lifetime=PATIENCE_MS,
        )


def session(store: Store, path: str) -> Callable[[], Any]:
    """What Panel calls for every reader who opens the page."""

    def build() -> Any:
        # Panel points style sheets at its CDN until it sends the page, then here; but
        # the page of a session that a late websocket makes anew is never sent.
        document = pn.state.curdoc
        assert document is not None
        document.template_variables["dist_url"] = LOCAL_DIST
        location = pn.state.location
        return App(store, path=path, query=location.search if location else "").page

    return build


def check_port(host: str, port: int) -> None:
    """Refuse a port or host that cannot be listened on, before anything is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ViewError(_why(error, host, port)) from error


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights: choose one above 1023 with --port"
    return f"cannot listen on {host}:{port} ({error.strerror}): give another --host"


def allowed_origins(host: str, port: int) -> list[str]:
    """Where a page may come from that opens a session; never everywhere.

    >>> allowed_origins("127.0.0.1", 5006)
    ['127.0.0.1:5006', 'localhost:5006']
    """
    names = ["127.0.0.1", "localhost"]
    if host in EVERYWHERE:
        names += [socket.gethostname(), socket.getfqdn()]
    elif host not in LOOPBACK:
        names = [host]
    return [f"{name}:{port}" for name in dict.fromkeys(names)]


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
    DocHandler.set_default_headers = set_headers  # type: ignore[method-assign, assignment]
