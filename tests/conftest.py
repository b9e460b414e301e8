"""What every test shares: how many examples hypothesis tries. `make test-deep` tries many more, at random."""

import os
import re
import sys
import sysconfig

import pytest
from hypothesis import HealthCheck, settings

# A shared machine is slow now and then; a wrong answer is a failure, a late one is not.
_UNHURRIED = (HealthCheck.too_slow,)

settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=_UNHURRIED)
settings.register_profile("deep", deadline=None, max_examples=5_000, suppress_health_check=_UNHURRIED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6}|\bid='\d{9}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse ids with addresses, as no two processes would collect the same tests; skip what cannot be installed.

    Raises:
        UsageError: an id has one.
    """
    for item in items:
        if _FREE_THREADED and item.get_closest_marker("gil"):
            item.add_marker(pytest.mark.skip(reason="its package has no wheel for a Python without the global lock"))
        if _ADDRESS.search(item.nodeid):
            raise pytest.UsageError(f"{item.nodeid}: the id of a test must be the same in every process")


def pytest_runtest_setup() -> None:
    """Let FastAPI forget where the endpoints of earlier tests are: it knows them by addresses that others have by now.

    What builds several applications in one test does so itself.
    """
    routing = sys.modules.get("fastapi.routing")
    # Under the alias it is ferroapi's, which keeps them in another way.
    cache = {} if routing is None else vars(routing).get("_endpoint_context_cache", {})
    cache.clear()
