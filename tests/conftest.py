"""What all tests share: no model hub is asked, and tiny models run on one thread."""

import os

# Before anything imports huggingface_hub or torch.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads cost tiny models more than work

from hypothesis import settings

# A busy machine is no failure; `make soak` has hypothesis' usual number of examples.
SOAK = bool(os.environ.get("FLOWGLASS_SOAK"))
settings.register_profile("flowglass", deadline=None, max_examples=100 if SOAK else 40)
settings.load_profile("flowglass")
