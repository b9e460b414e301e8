"""Starlette's `TestClient` under FastAPI's name."""

from starlette.testclient import TestClient as TestClient
