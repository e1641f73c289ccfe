"""Starting the viewer: what is refused, and what the page may reach."""

import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from bokeh.document import Document
from bokeh.models import ImportedStyleSheet
from panel.io.server import get_server
from panel.io.state import set_curdoc

from flowglass.store import open_store
from flowglass.store.errors import StoreError
from flowglass.viewer.address import allowed_origins, check_free
from flowglass.viewer.cli import view
from flowglass.viewer.errors import ViewError
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.serve import PATIENCE, session


def test_a_port_in_use_is_refused_in_one_line() -> None:
    """The message names the port and what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        said = f"port {port} .* in use: .*--port"
        with pytest.raises(ViewError, match=said) as error:
            check_free("127.0.0.1", port)

    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 5006), ("127.0.0.1", 70_000)])
def test_an_address_that_is_not_ours_is_refused(host: str, port: int) -> None:
    """Another machine's, or a port that does not exist."""
    with pytest.raises(ViewError, match=r"--host|--port"):
        check_free(host, port)


def test_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Before any server starts."""
    with pytest.raises(StoreError, match="nowhere") as error:
        view(tmp_path / "nowhere", port=0)
    assert error.value.exit_code == 2


def test_the_command_imports_nothing_that_takes_time() -> None:
    """`flowglass --help` loads every cli.py."""
    heavy = "{'panel', 'bokeh', 'duckdb', 'pyarrow', 'numpy'}"
    code = f"import sys, flowglass.viewer.cli; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_no_origin_is_a_wildcard() -> None:
    """A page of another site never opens a session, wherever we listen."""
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "10.0.0.5"):
        origins = allowed_origins(host, 5006)
        assert origins
        assert not any("*" in origin for origin in origins)
    assert allowed_origins("10.0.0.5", 80) == ["10.0.0.5:80"]
    assert allowed_origins("::1", 80) == ["[::1]:80"]


def test_a_session_made_anew_stays_on_this_machine(store_path: Path) -> None:
    """A websocket that comes late gets a new document, which Panel never patches."""
    document = Document()
    with (
        open_store(store_path) as store,
        Pulse(store) as pulse,
        set_curdoc(document),
    ):
        page = session(pulse, "runs/")()
        root = page.get_root(document)
        sheets = [sheet.url for sheet in root.select({"type": ImportedStyleSheet})]

    assert sheets
    assert not [url for url in sheets if url.startswith("http")]


def test_a_slow_browser_keeps_its_session() -> None:
    """A minute, where Bokeh alone would wait for 15 seconds."""
    server = get_server(Document, port=0, **PATIENCE)
    server.stop()
    assert server._tornado._unused_session_lifetime_milliseconds == 60_000


def test_every_page_carries_the_security_policy(viewer: str) -> None:
    """The browser itself refuses what a token or a library might want to load."""
    with urllib.request.urlopen(viewer) as response:
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert "*" not in policy
