"""The command `flowglass sweep`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import PlanError
from .options import Adapter, Device, Dtype, Revision, TrustRemoteCode


def sweep(
    context: typer.Context,
    plan: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PLAN.toml]",
            help="A sweep file: models x datasets x options, in place of the options.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Bundled name, folder or hub id.", show_default=False)
    ] = "",
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Built-in dataset, .jsonl/.csv/.parquet/.txt file, or hf:name; "
            "may be given several times.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        str,
        typer.Option(
            help="Folder, or address as s3://bucket/runs, to store rows in.",
            show_default=False,
        ),
    ] = "",
    run: Annotated[
        str | None, typer.Option(help="Name of the run (default: model and data).")
    ] = None,
    targets: Annotated[
        str, typer.Option(help="last, answer, all, or a position (-1 is the last).")
    ] = "last",
    cutoff: Annotated[
        float, typer.Option(help="Store parts at or above this contribution.")
    ] = 0.01,
    precision: Annotated[
        str, typer.Option(help="rounded (7 mantissa bits) or full.")
    ] = "rounded",
    neurons: Annotated[
        int, typer.Option(help="Most neurons stored of a layer and position.")
    ] = 16,
    project: Annotated[
        str,
        typer.Option(help="What is read in tokens: routes, all (slow) or none."),
    ] = "routes",
    top_tokens: Annotated[
        int, typer.Option(help="Tokens stored of each state and write.")
    ] = 10,
    tensors: Annotated[
        str, typer.Option(help="sparse, or dense: store whole attention maps too.")
    ] = "sparse",
    bos: Annotated[
        str, typer.Option(help="Start token: add, tokenizer or none.")
    ] = "add",
    dtype: Dtype = "auto",
    device: Device = "auto",
    batch_tokens: Annotated[
        int, typer.Option(help="Most tokens of one forward pass, padding included.")
    ] = 4096,
    limit: Annotated[
        int | None, typer.Option(help="Most prompts of each --data.")
    ] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Keep only the end of too long prompts.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what it would cost, from a sample."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes on this machine (on GPUs: one for each)."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Dask scheduler to use, like tcp://10.0.0.1:8786."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Stop in time, with a fair sample; such as 8h or 45m."),
    ] = None,
    revision: Revision = None,
    adapter: Adapter = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Run a model over prompts and store what mattered; the same command resumes."""
    from .quiet import silence_libraries

    silence_libraries()
    # Every option but those that say where and how long, by the names of `sweep`.
    options = dict(context.params)
    where = {name: options.pop(name) for name in ("workers", "scheduler", "budget")}
    for name in ("plan", "dry_run"):
        options.pop(name)
    if plan is not None:
        given = [name for name in options if _is_given(context, name)]
        do_sweep_file(plan, given, dry_run=dry_run, where=where)
        return
    if not (model and data and store):
        raise PlanError("give --model, --data and --store, or a sweep file")
    if dry_run:
        do_dry_run(options, budget)
    else:
        do_sweep(options | where)


def do_dry_run(options: dict[str, Any], budget: str | None) -> None:
    """What one run would take, and what of it fits the budget."""
    from rich.console import Console

    from .budget import seconds_of
    from .dry_run import say_costs
    from .engine import LocalEngine
    from .shard_worker import Workbench

    limit = seconds_of(budget) if budget else None
    engine = LocalEngine(Workbench())
    say_costs(engine, options | {"tokenizer": None}, limit, Console())


def do_sweep(options: dict[str, Any]) -> None:
    """One run, with what it says and the exit code of how it ended."""
    from .outcome import said
    from .progress import reporter
    from .stopping import Stop
    from .sweeping import sweep as run_sweep

    stop = Stop()
    with reporter() as report, stop.on_signals(report.say):
        done = run_sweep(**options, stop=stop, reporter=report)
    typer.echo(said(done))
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)


def do_sweep_file(
    plan: Path, given: list[str], *, dry_run: bool, where: dict[str, Any]
) -> None:
    """All runs of a sweep file; exit code 2 if one of them could not be done."""
    from .outcome import said
    from .progress import reporter
    from .stopping import Stop
    from .sweep_runs import Failed, named, sweep_file

    if given:
        said_so = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise PlanError(f"{said_so} and a sweep file: write the options into {plan}")
    if dry_run:
        do_dry_run_of_file(plan, where["budget"])
        return
    stop = Stop()
    with reporter() as report, stop.on_signals(report.say):
        runs = sweep_file(plan, **where, stop=stop, reporter=report)
    for run in runs:
        if isinstance(run, Failed):
            typer.echo(f"not done: {named(run.options)}: {run.reason}", err=True)
        else:
            typer.echo(said(run))
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)
    if any(isinstance(run, Failed) for run in runs):
        raise typer.Exit(2)


def do_dry_run_of_file(plan: Path, budget: str | None) -> None:
    """What each run of a sweep file would take; exit code 2 as `do_sweep_file`."""
    from rich.console import Console

    from .dry_run import say_costs_of_file
    from .sweep_file import read_sweep_file

    if not say_costs_of_file(read_sweep_file(plan), budget, Console()):
        raise typer.Exit(2)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
