import hashlib, json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .prompt import Prompt
from .tasks import TASKS, sample

MODELS = {n: Path(__file__).parent / "models" / n for n in ("tiny-gpt2", "tiny-llama")}


@dataclass(frozen=True)
class Dataset:
    name: str
    prompts: Sequence[Prompt]
    digest: str


def builtin_prompts(task: str) -> list[Prompt]:
    return sample(task, "held-out", 500)


def load(source: str, *, limit: int | None = None) -> Dataset:
    if source in TASKS:
        ps = builtin_prompts(source)
        name = source
    else:
        rows = [json.loads(x) for x in open(source)]
        ps = [Prompt(r["text"], r.get("group"), r.get("answer"), r.get("distractor"), {"n": r.get("n")}) for r in rows]
        name = Path(source).stem
    ps = ps[:limit]
    return Dataset(name, ps, hashlib.sha256(repr(ps).encode()).hexdigest())
