"""What the errors of an object store mean: to the commit protocol, and to people."""

from .errors import StoreError

_TAKEN = {"PreconditionFailed", "412"}
_IN_CONFLICT = {"ConditionalRequestConflict", "OperationAborted", "409"}
_NO_BUCKET = {"NoSuchBucket", "InvalidBucketName"}
_NO_CREDENTIALS = {
    "CredentialRetrievalError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "TokenRetrievalError",
}
_OF_THE_NETWORK = {
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectionError",
    "HTTPClientError",
    "TimeoutError",
}
_SETTINGS = (
    "tries and waiting times are botocore's: AWS_MAX_ATTEMPTS, AWS_RETRY_MODE and "
    """FSSPEC_S3='{"config_kwargs": {"connect_timeout": 5, "read_timeout": 15}}'"""
)


def is_taken(error: Exception) -> bool:
    """Whether an exclusive PUT was refused because there is such a file.

    Not every server says so in the words by which s3fs knows it.
    """
    return isinstance(error, FileExistsError) or _code(error) in _TAKEN


def is_conflict(error: Exception) -> bool:
    """Whether an exclusive PUT met another one and is to be tried again."""
    return _code(error) in _IN_CONFLICT


def is_missing(error: Exception) -> bool:
    """Whether a file is not there, though the bucket that should hold it is."""
    return isinstance(error, FileNotFoundError) and _code(error) not in _NO_BUCKET


def explained(error: Exception, where: str) -> StoreError:
    """One line for the user: where, what went wrong, what to do."""
    return StoreError(f"{where}: {_remedy(error)}")


def _remedy(error: Exception) -> str:
    code = _code(error)
    said = " ".join((getattr(error, "strerror", None) or str(error)).split())
    said = said or type(error).__name__
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if code in _NO_BUCKET:
        return f"{said}: make the bucket, or correct its name"
    if kinds & _NO_CREDENTIALS:
        return (
            f"{said}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if isinstance(error, PermissionError):
        return (
            f"the server refuses ({said}): give credentials that may list, read, write "
            f"and delete there"
        )
    if "ParamValidationError" in kinds:
        # It goes on with the pattern that a name must match, which helps nobody.
        return f"{said.partition(': Bucket name must')[0]}: correct the address"
    if kinds & _OF_THE_NETWORK:
        return (
            f"the server does not answer ({said}): check the network and "
            f"AWS_ENDPOINT_URL; {_SETTINGS}"
        )
    return f"the server fails ({said}): run the same command again; {_SETTINGS}"


def _code(error: BaseException | None) -> str | None:
    """The server's own word for an error, which fsspec's may hide."""
    while error is not None:
        said = getattr(error, "response", None)
        if isinstance(said, dict):
            return str(said.get("Error", {}).get("Code"))
        error = error.__cause__
    return None
