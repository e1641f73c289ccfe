"""`flowglass view`: the command, and nothing that takes time to import."""

from pathlib import Path
from typing import Annotated

import typer


def view(
    store: Annotated[Path, typer.Argument(help="The folder of a store.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5006,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser.")
    ] = True,
) -> None:
    """Look at a store in the browser: its runs, prompts and predictions."""
    from .serve import serve

    serve(store, host=host, port=port, open_browser=browser)
