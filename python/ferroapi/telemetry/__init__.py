"""OpenTelemetry without an instrumentation package: its configuration, and what a request has told of itself.

Importing this package does not import opentelemetry.
"""

from ._api import TelemetryConfig as TelemetryConfig
from ._api import TelemetryData as TelemetryData
from ._api import get_telemetry_data as get_telemetry_data
