"""The optional password: asked once in a browser, for pages and websockets.

Whoever gives a wrong one waits before the next try counts, longer each time.
"""

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from pathlib import Path
from typing import Any

from panel.auth import BasicAuthProvider, BasicLoginHandler

READER = "reader"
"""Everybody's name: only the password is asked for."""

VARIABLE = "FLOWGLASS_PASSWORD"
LOGIN_PAGE = Path(__file__).parent / "login.html"

FREE_TRIES = 4
"""Wrong passwords that cost no wait: people mistype."""
LONGEST_WAIT = 60.0
"""Seconds."""
FORGOTTEN_AFTER = 3600.0
"""Seconds without a wrong password."""
MOST_ADDRESSES = 10_000
"""Remembered; of more the ones that were wrong longest ago are forgotten."""


def choose_password() -> tuple[str, bool]:
    """The password to ask for, and whether it was made here and has to be told."""
    given = os.environ.get(VARIABLE, "")
    return (given, False) if given else (secrets.token_urlsafe(12), True)


def login_options(password: str) -> dict[str, Any]:
    """What `pn.serve` needs so that it asks for the password."""
    return {
        "auth_provider": PasswordAuth(password),
        "cookie_secret": secrets.token_urlsafe(32),
    }


@dataclass(frozen=True)
class Wrong:
    """The wrong passwords that have come from somewhere."""

    count: int
    last: float

    @property
    def free_at(self) -> float:
        """When the next try counts."""
        beyond = self.count - FREE_TRIES
        return self.last + (min(2.0**beyond, LONGEST_WAIT) if beyond >= 0 else 0.0)


class Throttle:
    """Who has to wait; times are seconds of any one clock.

    Behind a proxy all readers have one address, and wait for each other.
    """

    def __init__(self) -> None:
        self._wrong: dict[str, Wrong] = {}

    def wait(self, address: str, now: float) -> float:
        """Seconds until a try from there counts."""
        known = self._wrong.get(network_of(address))
        return max(0.0, known.free_at - now) if known else 0.0

    def wrong(self, address: str, now: float) -> None:
        """A wrong password came from there."""
        network = network_of(address)
        known = self._wrong.pop(network, Wrong(0, now))
        before = known.count if now - known.last < FORGOTTEN_AFTER else 0
        self._wrong[network] = Wrong(before + 1, now)  # the latest is the last
        while len(self._wrong) > MOST_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]

    def right(self, address: str) -> None:
        """The password came from there."""
        self._wrong.pop(network_of(address), None)


def network_of(address: str) -> str:
    """What one person has: an IPv4 address, or the 2^64 addresses of IPv6.

    >>> network_of("192.0.2.7"), network_of("2001:db8::7")
    ('192.0.2.7', '2001:db8::/64')
    """
    known = ip_address(address)
    if not isinstance(known, IPv6Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ip_network((int(known), 64), strict=False))


class PasswordAuth(BasicAuthProvider):
    """Panel's login with one password, a page of ours and a throttle."""

    def __init__(
        self, password: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Panel's
            login_template=str(LOGIN_PAGE)
        )
        self._password = password.encode()
        self._clock = clock
        self._throttle = Throttle()

    @property
    def login_handler(self) -> type[BasicLoginHandler]:
        provider, page = self, self._login_template

        class Login(BasicLoginHandler):
            """Tornado makes one for each request."""

            _login_template = page

            def post(self) -> None:
                address = self.request.remote_ip
                assert address is not None  # as of a Unix socket, which is not served
                password = self.get_argument("password", "")
                refused = provider.refusal(password, address)
                if refused is None:
                    super().post()  # type: ignore[no-untyped-call]
                    return
                self.set_status(refused.status)
                if refused.wait:
                    self.set_header("Retry-After", str(refused.wait))
                self.write(page.render(refused=refused.said))

            def _validate(self, username: str, password: str) -> bool:
                return username == READER and provider.is_right(password)

        return Login

    def is_right(self, password: str) -> bool:
        """Whether this is the password, in a time that does not tell how nearly."""
        return compare_digest(password.encode(), self._password)

    def refusal(self, password: str, address: str) -> "Refusal | None":
        """Why a try is refused; None if it is not."""
        now = self._clock()
        if wait := ceil(self._throttle.wait(address, now)):
            said = f"Too many wrong passwords: wait {wait} s, then try again."
            return Refusal(429, said, wait)
        if not self.is_right(password):
            self._throttle.wrong(address, now)
            return Refusal(403, "That is not the password.", 0)
        self._throttle.right(address)
        return None


@dataclass(frozen=True)
class Refusal:
    """An answer to whoever did not get in."""

    status: int
    said: str
    wait: int
    """Seconds."""
