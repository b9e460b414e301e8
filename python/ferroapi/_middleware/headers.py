"""Headers as an ASGI scope has them, read without an object around them."""

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first header of this lower-case name. Source: `starlette.datastructures.Headers.get`."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None
