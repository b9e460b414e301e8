"""What every test shares: how many examples hypothesis tries. `make test-deep` tries many more, at random."""

import os

from hypothesis import HealthCheck, settings

# A shared machine is slow now and then; a wrong answer is a failure, a late one is not.
_UNHURRIED = (HealthCheck.too_slow,)

settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=_UNHURRIED)
settings.register_profile("deep", deadline=None, max_examples=3_000, suppress_health_check=_UNHURRIED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
