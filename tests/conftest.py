"""What all tests share: no model hub is asked, and tiny models run on one thread."""

import os

# Before anything imports huggingface_hub or torch.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads cost tiny models more than work

from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("flowglass", deadline=None)
settings.load_profile("flowglass")
