"""What a user can get wrong about prompts."""


class DatasetError(ValueError):
    """One clear line; ends a command with exit code 2."""

    exit_code = 2
