"""What a user can get wrong in this room; a message names the culprit and the cure."""


class PipelineError(ValueError):
    """Ends a command with one line and exit code 2."""

    exit_code = 2


class ModelError(PipelineError):
    """A model that cannot be loaded or cannot be decomposed."""


class PlanError(PipelineError):
    """A sweep that cannot be planned: a prompt, a target or a setting is impossible."""


class ClusterError(PipelineError):
    """A cluster that cannot be used, or that is there no more."""
