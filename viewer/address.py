"""Where the viewer listens, and which pages may open a session there."""

import errno
import socket

from .errors import ViewError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")


def check_free(host: str, port: int) -> None:
    """Refuse a host and port that cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OverflowError as error:
            message = f"port {port} does not exist: choose one below 65536 with --port"
            raise ViewError(message) from error
        except OSError as error:
            raise ViewError(_why(error, host, port)) from error


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights: choose one above 1023 with --port"
    return f"cannot listen on {host}:{port} ({error.strerror}): give another --host"


def allowed_origins(host: str, port: int) -> list[str]:
    """The addresses in a browser's bar from which a session may be opened.

    >>> allowed_origins("127.0.0.1", 5006)
    ['127.0.0.1:5006', 'localhost:5006']
    """
    names = ["127.0.0.1", "localhost"]
    if host in EVERYWHERE:
        names += [socket.gethostname(), socket.getfqdn()]
    elif host not in names:
        names = [f"[{host}]" if ":" in host else host]
    return [f"{name}:{port}" for name in dict.fromkeys(names)]
