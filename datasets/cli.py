"""The command `flowglass datasets`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

MODEL_LINES = {
    "tiny-gpt2": "learned positions, LayerNorm, a bias everywhere; 4 layers",
    "tiny-llama": "RoPE, RMSNorm, SwiGLU, grouped-query attention; 4 layers",
}


def datasets() -> None:
    """List the built-in datasets and the bundled models."""
    from rich.console import Console

    console = Console()
    console.print(datasets_table(), models_table(), sep="\n\n")
    console.print(
        "\nYour own prompts: a .jsonl, .csv, .parquet or .txt file, or\n"
        "hf:name[:split[:column]]; see the README of datasets/ for the columns.",
        markup=False,
        highlight=False,
    )


def datasets_table() -> "Table":
    """What each built-in dataset asks, with an example and its answer."""
    from rich.text import Text

    from .catalog import BUILTIN, builtin_prompts
    from .tasks import TASKS

    table = table_of("Built-in datasets", "name", "what it asks, and an example")
    for name in BUILTIN:
        prompts = builtin_prompts(name)
        n_categories = len({prompt.category for prompt in prompts})
        example = Text(prompts[0].text, "dim")
        if prompts[0].answer:
            example.append(f" → {prompts[0].answer}", "bold")
        table.add_row(
            f"[b]{name}[/b]\n{len(prompts)} prompts,\n{n_categories} categories",
            Text(f"{TASKS[name].__doc__}\n").append_text(example),
        )
    return table


def models_table() -> "Table":
    """The bundled models with a line each."""
    from .catalog import MODELS

    table = table_of("Bundled models", "name", "what it is")
    for name in MODELS:
        table.add_row(f"[b]{name}[/b]", MODEL_LINES[name])
    return table


def table_of(title: str, *headings: str) -> "Table":
    """An empty table in the command's looks."""
    from rich.box import HORIZONTALS
    from rich.table import Table

    return Table(
        *headings, title=title, title_justify="left", box=HORIZONTALS, show_lines=True
    )
