from pathlib import Path
from .tasks import sample
MODELS = {n: Path(__file__).parent / "models" / n for n in ("tiny-gpt2", "tiny-llama")}
def builtin_prompts(task):
    return sample(task, "held-out", 500)
