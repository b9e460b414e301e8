"""A plugin of pytest: the suite's `TestClient` is Starlette's own, to see how much time ours saves."""

from starlette import testclient

import ferroapi.testclient


def pytest_configure() -> None:
    """Put Starlette's client in the place of ours, before tests import it."""
    ferroapi.testclient.TestClient = testclient.TestClient  # type: ignore[assignment,misc]
