"""The command `flowglass datasets`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

MODELS = {
    "tiny-gpt2": "GPT-2 architecture: learned positions, LayerNorm, biases everywhere",
    "tiny-llama": "Llama architecture: RoPE, RMSNorm, SwiGLU, grouped-query attention",
}


def datasets() -> None:
    """List the built-in datasets and the bundled models."""
    from rich.console import Console

    console = Console()
    console.print(datasets_table(), models_table(), sep="\n")
    console.print(
        "Your own: a .jsonl, .csv, .parquet or .txt file with a column [b]text[/b]\n"
        "(and, if you have them, category, answer, distractor), or "
        "[b]hf:name\\[:split\\[:column]][/b]"
    )


def datasets_table() -> "Table":
    """What each built-in dataset asks, with an example and its answer."""
    from rich.markup import escape
    from rich.table import Table

    from .catalog import BUILTIN, load
    from .tasks import TASKS

    table = Table(title="Built-in datasets", title_justify="left", show_lines=True)
    for heading in ("name", "what it asks", "prompts", "categories"):
        number = heading in ("prompts", "categories")
        table.add_column(heading, justify="right" if number else "left")
    for name in BUILTIN:
        prompts = load(name).prompts
        example = escape(prompts[0].text)
        if prompts[0].answer:
            example += f" [b]{escape(prompts[0].answer)}[/b]"
        categories = {prompt.category for prompt in prompts}
        table.add_row(
            f"[b]{name}[/b]",
            f"{TASKS[name].__doc__}\n[dim]{example}[/dim]",
            str(len(prompts)),
            str(len(categories)),
        )
    return table


def models_table() -> "Table":
    """The bundled models with a line each."""
    from rich.table import Table

    from .catalog import MODELS as FOLDERS

    table = Table(title="Bundled models", title_justify="left")
    table.add_column("name")
    table.add_column("what it is")
    for name in FOLDERS:
        table.add_row(f"[b]{name}[/b]", MODELS[name])
    return table
