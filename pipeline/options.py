"""The options that commands about a model share: which one, and how it is loaded."""

from typing import Annotated

import typer

Dtype = Annotated[
    str, typer.Option(help="auto, float32, float16, bfloat16 or float64.")
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1, ..., or split (over all GPUs).")
]
Revision = Annotated[str | None, typer.Option(help="Revision on the hub.")]
Adapter = Annotated[
    str | None,
    typer.Option(help="LoRA or other PEFT adapter to merge: folder or hub id."),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Run code that comes with the model."),
]
