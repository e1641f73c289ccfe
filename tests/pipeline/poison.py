"""A model that some prompts are poison for: a bundled one with code of its own."""

import shutil
from pathlib import Path

from flowglass.datasets.catalog import MODELS
from flowglass.pipeline.loading import load_tokenizer

from .checkpoints import edit_json

DEADLY = "Zebra quartz zebra quartz zebra"
"""Kills the process that runs the model on it."""
FAILING = "Violin jungle violin jungle"
"""Makes the model raise an error."""

CONFIGURATION = """
from transformers import LlamaConfig
class PoisonedConfig(LlamaConfig):
    model_type = "poisoned"
"""
MODELLING = """
import os
from transformers import LlamaForCausalLM
from .configuration_poisoned import PoisonedConfig
def has(ids, some):
    rows = ids.tolist()
    return any(row[i : i + len(some)] == some for row in rows for i in range(len(row)))
class PoisonedForCausalLM(LlamaForCausalLM):
    config_class = PoisonedConfig
    def forward(self, input_ids=None, **more):
        if input_ids is not None and has(input_ids, {deadly}):
            os.kill(os.getpid(), 9)
        if input_ids is not None and has(input_ids, {failing}):
            raise RuntimeError("this prompt is too much for me\\n  in some kernel")
        return super().forward(input_ids=input_ids, **more)
"""


def save_poisoned(folder: Path) -> Path:
    """The model's files; it is loaded with trust_remote_code alone."""
    shutil.copytree(MODELS["tiny-llama"], folder)
    tokenizer = load_tokenizer("tiny-llama")
    code = MODELLING.format(
        deadly=tokenizer(DEADLY, add_special_tokens=False).input_ids,
        failing=tokenizer(FAILING, add_special_tokens=False).input_ids,
    )
    (folder / "configuration_poisoned.py").write_text(CONFIGURATION)
    (folder / "modeling_poisoned.py").write_text(code)
    edit_json(
        folder / "config.json",
        model_type="poisoned",
        architectures=["PoisonedForCausalLM"],
        auto_map={
            "AutoConfig": "configuration_poisoned.PoisonedConfig",
            "AutoModelForCausalLM": "modeling_poisoned.PoisonedForCausalLM",
        },
    )
    return folder
