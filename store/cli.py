"""The program `flowglass`, and its commands `sql` and `info`.

Each folder hands its commands over through the entry points `flowglass.commands`, so
that the lowest room need not know the others. Only the command that is called is
loaded: `flowglass sql` starts without torch.
"""

import sys
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Annotated

import typer

StoreAddress = Annotated[
    str,
    typer.Argument(metavar="STORE", help="Folder or address that a sweep has written."),
]


class Format(StrEnum):
    """How `sql` writes rows."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def main() -> None:
    """Run the command that the arguments name."""
    try:
        _program(sys.argv[1:])()
    except KeyboardInterrupt:  # while a command is being loaded; Typer sees to the rest
        sys.exit(130)
    except Exception as error:
        exit_code = getattr(type(error), "exit_code", None)
        if exit_code is None:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(exit_code)


def sql(
    store: StoreAddress,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT.")],
    format: Annotated[
        Format | None,
        typer.Option(help="If not given, as --output ends; else a table."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write to, not the terminal.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Stop the query after this time.")
    ] = 60.0,
    memory: Annotated[
        str, typer.Option(help="Stop the query when it needs more than this.")
    ] = "2GB",
) -> None:
    """Ask a store a question in SQL, such as `show tables` or `describe edges`."""
    from .errors import StoreError
    from .sandbox import Limits, open_sandbox

    endings = {f".{known}": known for known in Format}
    chosen = format or endings.get(output.suffix if output else "", Format.table)
    if chosen is Format.parquet and output is None:
        raise StoreError("--format parquet needs --output FILE")
    with open_sandbox(store, Limits(seconds, memory, threads=None)) as sandbox:
        from .query import print_query, save_query  # meanwhile its child starts

        if output is None:
            print_query(sandbox, query, format=chosen)
        else:
            save_query(sandbox, query, format=chosen, output=output)
            print(f"saved {output}")


def info(
    store: StoreAddress,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Go on showing it until all runs are over."),
    ] = False,
) -> None:
    """Show the runs of a store: how far they are, how large, what was set aside."""
    if watch:
        from .watch import watch as watch_store

        watch_store(store, sys.stdout)
        return
    from .info import write_info
    from .store import open_store

    with open_store(store) as opened:
        write_info(opened, sys.stdout)


def _program(arguments: list[str]) -> typer.Typer:
    """The program with the command that is called, or all if none is."""
    program = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    program.callback()(_options)
    for command in _called(arguments):
        program.command(command.name)(command.load())
    return program


def _called(arguments: list[str]) -> list[EntryPoint]:
    if "--version" in arguments[:1]:
        return []
    commands = sorted(entry_points(group="flowglass.commands"), key=lambda c: c.name)
    return [c for c in commands if c.name in arguments[:1]] or commands


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"flowglass {version('flowglass')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and leave.",
            is_eager=True,
            callback=_show_version,
        ),
    ] = False,
) -> None:
    """See how information flows through a language model, over a whole corpus."""
