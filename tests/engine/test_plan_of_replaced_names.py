"""A plan that was made while a name was replaced is made again when the name is put back."""

import importlib
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient


class Item(BaseModel):
    size: int = 1


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_body_is_read_as_declared_once_the_name_is_put_back(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What says that a body has an entry a field is asked by the plan, too."""
    api: Any = importlib.import_module(framework)
    utils: Any = importlib.import_module(f"{framework}.dependencies.utils")
    app = api.FastAPI()

    @app.post("/")
    async def read(item: Item) -> Item:
        return item

    client = TestClient(app)
    with monkeypatch.context() as replaced:
        replaced.setattr(utils, "_should_embed_body_fields", lambda fields: True)
        assert client.post("/", json={"item": {"size": 3}}).json() == {"size": 3}
    assert client.post("/", json={"size": 4}).json() == {"size": 4}
