"""What can be wrong with the way the viewer was started."""


class ViewError(Exception):
    """The viewer cannot be served as asked; the message says what to do."""

    exit_code = 2
