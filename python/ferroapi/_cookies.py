"""The cookies of a connection, at a cost that is linear in their headers.

Starlette leaves quoted values to the standard library, which up to Python 3.12 takes quadratic time for their escapes.
"""

from collections.abc import Mapping
from typing import Any

from starlette import requests
from starlette.requests import HTTPConnection

from ferroapi import _core

# Names that Starlette finds in its module and its class, where they may be replaced.
_names: Any = requests
_PARSER = requests.cookie_parser
_PROPERTY = HTTPConnection.cookies


def read_cookies(connection: HTTPConnection) -> Mapping[str, str]:
    """Return what `connection.cookies` says, and keep it there for whoever asks later."""
    is_known = getattr(type(connection), "cookies", None) is _PROPERTY and _names.cookie_parser is _PARSER
    if not is_known or hasattr(connection, "_cookies"):
        return connection.cookies
    cookies: dict[str, str] = {}
    for header in connection.headers.getlist("cookie"):
        cookies.update(_core.parse_cookies(header.encode("latin-1")))
    connection._cookies = cookies
    return cookies
