"""Leave it to flowglass to say, once and in one line, what is wrong."""


def silence_libraries() -> None:
    """Let transformers and huggingface_hub print neither warnings nor bars."""
    from logging import ERROR, getLogger

    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    getLogger("huggingface_hub").setLevel(ERROR)
