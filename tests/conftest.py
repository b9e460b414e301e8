"""What every test shares: how many examples hypothesis tries. `make test-deep` tries many more, at random."""

import os
import re

import pytest
from hypothesis import HealthCheck, settings

# A shared machine is slow now and then; a wrong answer is a failure, a late one is not.
_UNHURRIED = (HealthCheck.too_slow,)

settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=_UNHURRIED)
settings.register_profile("deep", deadline=None, max_examples=5_000, suppress_health_check=_UNHURRIED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

_ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6}|\bid='\d{9}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse ids with addresses: no two processes would collect the same tests.

    Raises:
        UsageError: an id has one.
    """
    for item in items:
        if _ADDRESS.search(item.nodeid):
            raise pytest.UsageError(f"{item.nodeid}: the id of a test must be the same in every process")
