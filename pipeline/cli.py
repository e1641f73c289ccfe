"""The command `flowglass sweep`."""

from typing import Annotated, Any

import typer

from .options import Adapter, Device, Dtype, Revision, TrustRemoteCode


def sweep(
    model: Annotated[
        str, typer.Option(help="Bundled name, folder or hub id.", show_default=False)
    ],
    data: Annotated[
        list[str],
        typer.Option(
            help="Built-in dataset, .jsonl/.csv/.parquet/.txt file, or hf:name; "
            "may be given several times.",
            show_default=False,
        ),
    ],
    store: Annotated[
        str,
        typer.Option(
            help="Folder, or address as s3://bucket/runs, to store rows in.",
            show_default=False,
        ),
    ],
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
    from .progress import reporter
    from .quiet import silence_libraries
    from .stopping import Stop
    from .sweeping import said
    from .sweeping import sweep as run_sweep

    silence_libraries()
    options: dict[str, Any] = dict(
        model=model,
        data=data,
        store=store,
        run=run,
        targets=targets,
        cutoff=cutoff,
        precision=precision,
        neurons=neurons,
        project=project,
        top_tokens=top_tokens,
        tensors=tensors,
        bos=bos,
        dtype=dtype,
        device=device,
        batch_tokens=batch_tokens,
        limit=limit,
        truncate=truncate,
        revision=revision,
        adapter=adapter,
        trust_remote_code=trust_remote_code,
    )
    if dry_run:
        say_costs(options, budget)
        return
    stop = Stop()
    with reporter() as report, stop.on_signals(report.say):
        options |= dict(workers=workers, scheduler=scheduler, budget=budget, stop=stop)
        done = run_sweep(**options, reporter=report)
    typer.echo(said(done))
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)


def say_costs(options: dict[str, Any], budget: str | None) -> None:
    """Print what the sweep with these options would take."""
    from rich.console import Console

    from .budget import seconds_of
    from .dry_run import print_fitting, print_forecast
    from .engine import LocalEngine
    from .forecast import forecast
    from .job import plan_job
    from .shard_worker import Workbench

    limit = seconds_of(budget) if budget else None
    engine = LocalEngine(Workbench())
    job = plan_job(options | {"tokenizer": None}, engine.facts)
    with Console(stderr=True).status("measuring a sample"):
        found = forecast(job, engine)
    console = Console()
    print_forecast(found, console)
    if limit is not None:
        print_fitting(job, engine, found, limit, console)
