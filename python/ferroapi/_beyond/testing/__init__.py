"""Clients for tests: Starlette's interface at a fraction of its cost, and one for tests that are coroutines."""

from typing import TYPE_CHECKING

from starlette import testclient

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    # Of the two libraries that Starlette takes, the one that it found.
    httpx = testclient.httpx

__all__ = ["httpx"]
