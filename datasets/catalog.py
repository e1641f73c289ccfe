from pathlib import Path
from .tasks import sample
MODELS = Path(__file__).parent / "models"
def builtin_prompts(task):
    return sample(task, "held-out", 500)
