"""Write datasets/builtin/: `python -m flowglass.datasets.build`."""

import json

from .catalog import BUILTIN, FOLDER
from .prompt import Prompt
from .tasks import sample

N_PROMPTS = 500


def line(prompt: Prompt) -> str:
    """The prompt as a line of a .jsonl file; what is None is left out."""
    labels = {
        "category": prompt.category,
        "answer": prompt.answer,
        "distractor": prompt.distractor,
    }
    given = {name: value for name, value in labels.items() if value is not None}
    record = {"text": prompt.text, **given, **prompt.metadata}
    return json.dumps(record, ensure_ascii=False) + "\n"


def builtin_file(task: str) -> str:
    """What belongs into builtin/<task>.jsonl: the task's held-out prompts."""
    return "".join(map(line, sample(task, "held-out", N_PROMPTS)))


def main() -> None:
    """Write the held-out prompts of every task."""
    for task in BUILTIN:
        path = FOLDER / "builtin" / f"{task}.jsonl"
        path.write_text(builtin_file(task), encoding="utf-8", newline="\n")
        print(f"{path}: {N_PROMPTS} prompts")


if __name__ == "__main__":
    main()
