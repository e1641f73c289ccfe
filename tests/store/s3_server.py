"""A real S3 server on this machine, moto's, and the faults that a test orders from it.

It answers one request at a time: S3 refuses the second of two writers of a new name,
which moto alone does not when both come at once, for it looks first and writes then.
"""

import atexit
import io
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock, Thread
from typing import Any
from urllib.request import Request as Asked
from urllib.request import urlopen
from uuid import uuid4

import pytest
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler, make_server

Serve = Callable[[Request], Response]
Rule = Callable[[Request, Serve], Response]

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_MAX_ATTEMPTS": "1",
}


class _Quiet(WSGIRequestHandler):
    """Prints no line for a request."""

    def log(self, *_: Any) -> None:
        pass


class S3Server:
    """moto behind a door that counts what is asked, and may answer in its place."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._one_at_a_time = Lock()
        self._rule: Rule | None = None
        self._under_way = 0
        self.asked: list[str] = []
        """Every request so far, as in "PUT /bucket/key"."""
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def finish(self) -> None:
        """Wait until what killed processes have asked for is done, or given up."""
        idle = 0
        while idle < 3:
            time.sleep(0.01)
            idle = 0 if self._under_way else idle + 1

    @contextmanager
    def rule(self, rule: Rule) -> Iterator[None]:
        """Let a function answer every request; it may pass it on to moto."""
        self._rule = rule
        try:
            yield
        finally:
            self._rule = None

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        self._under_way += 1
        try:
            request = _whole(environ)
            with self._one_at_a_time:
                self.asked.append(f"{request.method} {request.path}")
                rule = self._rule
                serve = self._serve
                response = serve(request) if rule is None else rule(request, serve)
        finally:
            self._under_way -= 1
        return response(environ, start_response)

    def _serve(self, request: Request) -> Response:
        return Response.from_app(self._moto, request.environ, buffered=True)


def _whole(environ: dict[str, Any]) -> Request:
    """A request with its body; S3 keeps no half of what a killed process sent."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    if len(body) < length:
        raise ConnectionError
    environ["wsgi.input"] = io.BytesIO(body)
    return Request(environ)


@cache
def s3_server() -> S3Server:
    """The server of this test session, started when the first test needs it."""
    server = S3Server()
    atexit.register(server.stop)
    return server


@contextmanager
def s3_bucket() -> Iterator[tuple[S3Server, str]]:
    """The server and the address of a new bucket in it, which this process may use."""
    server, bucket = s3_server(), f"bucket-{uuid4().hex[:8]}"
    urlopen(Asked(f"{server.endpoint}/{bucket}", method="PUT")).close()
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("AWS_PROFILE", raising=False)
        environment.setenv("AWS_ENDPOINT_URL", server.endpoint)
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        yield server, f"s3://{bucket}"


def error_reply(status: int, code: str) -> Response:
    """What an S3 server says when it refuses."""
    body = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>"
    return Response(body, status, mimetype="application/xml")


def cut_connection(request: Request) -> None:
    """End a request without an answer."""
    request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionError
