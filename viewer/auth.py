"""The optional password: asked once in a browser, for pages and websockets."""

import os
import secrets
from pathlib import Path
from typing import Any

READER = "reader"
"""Everybody's name: only the password is asked for."""

VARIABLE = "FLOWGLASS_PASSWORD"


def choose_password() -> tuple[str, bool]:
    """The password to ask for, and whether it was made here and has to be told."""
    given = os.environ.get(VARIABLE, "")
    return (given, False) if given else (secrets.token_urlsafe(12), True)


def login_options(password: str) -> dict[str, Any]:
    """What `pn.serve` needs so that it asks for the password.

    A mapping of names, as Panel takes a password that is the name of a file for a file
    of passwords.
    """
    return {
        "basic_auth": {READER: password},
        "cookie_secret": secrets.token_urlsafe(32),
        "login_template": str(Path(__file__).parent / "login.html"),
    }
