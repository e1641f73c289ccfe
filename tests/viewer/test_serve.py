"""Serving: what is refused, and what the page may reach."""

import socket
import urllib.request
from pathlib import Path

import pytest
from bokeh.document import Document
from bokeh.models import ImportedStyleSheet
from panel.io.state import set_curdoc

from flowglass.store import open_store
from flowglass.store.errors import StoreError
from flowglass.viewer.errors import ViewError
from flowglass.viewer.serve import allowed_origins, check_port, serve, session


def test_a_port_in_use_is_refused_in_one_line() -> None:
    """The message names the port and what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(
            ViewError, match=f"port {port} .* in use: .*--port"
        ) as error:
            check_port("127.0.0.1", port)

    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


def test_a_host_of_another_machine_is_refused() -> None:
    """An address that is not ours cannot be listened on."""
    with pytest.raises(ViewError, match="--host"):
        check_port("192.0.2.1", 5006)


def test_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Before any server starts."""
    with pytest.raises(StoreError, match="nowhere") as error:
        serve(tmp_path / "nowhere", host="127.0.0.1", port=0, open_browser=False)
    assert error.value.exit_code == 2


def test_no_origin_is_a_wildcard() -> None:
    """A page of another site never opens a session, wherever we listen."""
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "10.0.0.5"):
        origins = allowed_origins(host, 5006)
        assert origins
        assert not any("*" in origin for origin in origins)
    assert allowed_origins("10.0.0.5", 80) == ["10.0.0.5:80"]


def test_a_session_made_anew_stays_on_this_machine(store_path: Path) -> None:
    """A websocket that comes late gets a new document, which Panel never patches."""
    document = Document()
    with open_store(store_path) as store, set_curdoc(document):
        page = session(store, "runs/")()
        root = page.get_root(document)
        sheets = [sheet.url for sheet in root.select({"type": ImportedStyleSheet})]

    assert sheets
    assert not [url for url in sheets if url.startswith("http")]


def test_every_page_carries_the_security_policy(viewer: str) -> None:
    """The browser itself refuses what a token or a library might want to load."""
    with urllib.request.urlopen(viewer) as response:
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert "*" not in policy
