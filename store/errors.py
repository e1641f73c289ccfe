"""What goes wrong in a store through no fault of ours."""


class StoreError(Exception):
    """One clear line: what was given, what was expected, what to do."""

    exit_code = 2
