"""A client of a service with an empty database, and a clock that stands still."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from ferroapi.testclient import TestClient
from service import security
from service.config import settings
from service.main import app

NOON = datetime(2100, 1, 1, 12, tzinfo=UTC)
QUICK = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(settings, "data", tmp_path)
    monkeypatch.setattr(security, "passwords", QUICK)
    app.dependency_overrides[security.get_now] = lambda: NOON
    with TestClient(app) as client:
        yield client
    app.dependency_overrides.clear()


@pytest.fixture
def ada(client: TestClient) -> TestClient:
    """The same client, logged in as the first user."""
    answer = client.post("/token", data={"username": "ada", "password": "lovelace"})
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client
