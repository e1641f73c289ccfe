"""The command `flowglass check`."""

import json
from typing import Annotated

import typer

from .options import Adapter, Device, Dtype, Revision, TrustRemoteCode


def check(
    model: Annotated[
        str, typer.Argument(help="Bundled name, folder or hub id.", show_default=False)
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON.")
    ] = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    revision: Revision = None,
    adapter: Adapter = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Can this model be decomposed? What was found in it, and how exactly it closes."""
    from .check import check as measure
    from .check_report import as_json as write_json
    from .check_report import print_report
    from .errors import ModelError
    from .hub import Origin
    from .model import load_model
    from .quiet import silence_libraries

    silence_libraries()
    origin = Origin(
        revision=revision, adapter=adapter, trust_remote_code=trust_remote_code
    )
    try:
        report = measure(load_model(model, dtype=dtype, device=device, origin=origin))
    except ModelError as error:
        if as_json:
            refusal = {"model": model, "closes": False, "reason": str(error)}
            typer.echo(json.dumps(refusal, indent=2))
        raise
    if as_json:
        typer.echo(json.dumps(write_json(report), indent=2, allow_nan=False))
    else:
        print_report(report)
    if not report.closes:
        raise typer.Exit(2)
