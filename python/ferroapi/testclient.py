"""FastAPI's `TestClient`: Starlette's interface at a fraction of its cost."""

from ._beyond.testing.async_client import AsyncTestClient as AsyncTestClient
from ._beyond.testing.client import TestClient as TestClient
