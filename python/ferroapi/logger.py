"""The package's logger, under the name that existing logging configurations use."""

import logging

logger = logging.getLogger("fastapi")
