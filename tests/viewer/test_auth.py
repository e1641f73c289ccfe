"""`--auth` asks for a password, and makes whoever guesses wait."""

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from flowglass.viewer.auth import (
    FORGOTTEN_AFTER,
    FREE_TRIES,
    LONGEST_WAIT,
    MOST_ADDRESSES,
    PasswordAuth,
    Throttle,
)

from .live_server import Viewer

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


def guess(throttle: Throttle, times: int, *, now: float = 0.0) -> float:
    """So many wrong passwords from here; the wait after them."""
    for _ in range(times):
        throttle.wrong(HERE, now)
    return throttle.wait(HERE, now)


def test_the_wait_grows_with_every_wrong_password() -> None:
    """None for the first few, then twice as long each time, up to a minute."""
    waits = [guess(Throttle(), n) for n in range(FREE_TRIES + 10)]
    assert waits[:FREE_TRIES] == [0.0] * FREE_TRIES
    assert waits[FREE_TRIES : FREE_TRIES + 4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_WAIT


def test_a_wait_passes() -> None:
    """And is one for who gave wrong passwords, not for others."""
    throttle = Throttle()
    assert guess(throttle, FREE_TRIES + 3, now=100.0) == 8
    assert throttle.wait(HERE, 105.0) == 3
    assert throttle.wait(HERE, 108.0) == 0
    assert throttle.wait(ELSEWHERE, 100.0) == 0


def test_wrong_passwords_are_forgotten() -> None:
    """After an hour, or with the right one."""
    throttle = Throttle()
    guess(throttle, FREE_TRIES + 3)
    assert guess(throttle, 1, now=FORGOTTEN_AFTER) == 0

    guess(throttle, FREE_TRIES + 3)
    throttle.right(HERE)
    assert guess(throttle, 1) == 0


def test_a_network_of_one_person_counts_as_one() -> None:
    """Whoever has an IPv6 address has 2^64 of them."""
    throttle = Throttle()
    for i in range(FREE_TRIES):
        throttle.wrong(f"2001:db8::{i}", 0.0)
    assert throttle.wait("2001:db8::ffff", 0.0) == 1
    assert throttle.wait("2001:db8:0:1::1", 0.0) == 0


def test_many_addresses_take_no_memory() -> None:
    """Those that were wrong longest ago are dropped."""
    throttle = Throttle()
    guess(throttle, FREE_TRIES)
    for i in range(MOST_ADDRESSES):
        throttle.wrong(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 1.0)
    assert len(throttle._wrong) == MOST_ADDRESSES
    assert throttle.wait(HERE, 0.0) == 0


def test_who_has_to_wait_cannot_go_on_guessing() -> None:
    """Even the right password is refused, or a guess would tell something."""
    now = [0.0]
    asks = PasswordAuth("right", clock=lambda: now[0])
    refused = [asks.refusal("wrong", HERE) for _ in range(FREE_TRIES)]
    assert {each and each.status for each in refused} == {403}

    too_soon = asks.refusal("right", HERE)

    assert too_soon is not None
    assert (too_soon.status, too_soon.wait) == (429, 1)
    now[0] = 1.0
    assert asks.refusal("right", HERE) is None


class Guest:
    """A browser without a window, on a viewer that asks for a password."""

    def __init__(self, viewer: Viewer) -> None:
        self.address = viewer.address
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(jar)
        )

    def get(self) -> tuple[str, str]:
        """The page, and its policy."""
        with self._opener.open(self.address) as answer:
            policy = answer.headers["Content-Security-Policy"]
            return answer.read().decode(), policy

    def log_in(self, password: str) -> tuple[int, str]:
        """Status and page."""
        fields = {"username": "reader", "password": password}
        data = urllib.parse.urlencode(fields).encode()
        try:
            with self._opener.open(self.address + "login", data) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def shake_hands(self) -> int:
        """The status of a websocket's handshake."""
        upgrade = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": "bokeh, token",
            "Origin": self.address.rstrip("/"),
        }
        socket = urllib.request.Request(self.address + "ws", headers=upgrade)
        # urllib takes 101, a websocket that opens, for an error as well.
        with pytest.raises(urllib.error.HTTPError) as answered:
            self._opener.open(socket, timeout=5)
        return answered.value.code


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """With a password that is also the name of a file, which Panel would read."""
    viewer = Viewer(tmp_path_factory.mktemp("auth"), "--auth", password="README.md")
    yield viewer
    viewer.end()
    assert "README.md" not in viewer.log.read_text()


def test_auth_asks_for_the_password(viewer: Viewer) -> None:
    """For pages and websockets; the login page carries the policy and is ours."""
    guest = Guest(viewer)
    page, policy = guest.get()
    assert "default-src 'self'" in policy
    assert 'type="password"' in page
    assert "http" not in page
    assert guest.shake_hands() == 403

    assert "That is not the password." in guest.log_in("wrong")[1]
    assert guest.log_in("README.md")[0] == 200

    assert 'type="password"' not in guest.get()[0]
    assert "http" not in Guest(viewer).get()[0]


def test_wrong_passwords_are_slowed_down(viewer: Viewer) -> None:
    """The server says for how long, and the login page too."""
    guest = Guest(viewer)
    statuses = [guest.log_in(f"guess {i}")[0] for i in range(FREE_TRIES + 1)]
    assert statuses == [403] * FREE_TRIES + [429]
    assert "Too many wrong passwords: wait" in guest.log_in("README.md")[1]
