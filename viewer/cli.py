"""`flowglass view`: the command, and nothing that takes time to import."""

from typing import Annotated

import typer


def view(
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE", help="Folder or address that a sweep has written."
        ),
    ],
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5006,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser.")
    ] = True,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model to try prompts on, besides the bundled ones: folder or hub id; "
            "may be given several times.",
            show_default=False,
        ),
    ] = None,
    auth: Annotated[
        bool,
        typer.Option(
            "--auth", help="Ask for the password FLOWGLASS_PASSWORD, or a random one."
        ),
    ] = False,
) -> None:
    """Look at a store in the browser: its runs, prompts and predictions."""
    from flowglass.store.store import open_store

    from .address import check_free

    check_free(host, port)
    with open_store(store) as opened:
        from .serve import serve  # Panel takes seconds; mistakes are told before

        serve(
            opened,
            path=str(store),
            host=host,
            port=port,
            open_browser=browser,
            models=model or [],
            auth=auth,
        )
