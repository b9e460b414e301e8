"""Models of the framework in an OpenAPI document: where an application uses them as a body or a response."""

import importlib
import json
from typing import Any

import pytest
from pydantic import BaseModel

from ferroapi.sse import ServerSentEvent

NAMES = {
    "sse": ["ServerSentEvent"],
    "security": ["HTTPBasicCredentials", "HTTPAuthorizationCredentials"],
    "openapi.models": ["OpenAPI", "Operation", "Schema", "Tag", "OAuth2", "HTTPBearer"],
}


def document(framework: str) -> str:
    app = importlib.import_module(framework).FastAPI()
    for module, names in NAMES.items():
        for name in names:
            model = getattr(importlib.import_module(f"{framework}.{module}"), name)

            def endpoint(value: Any) -> Any:
                return value

            endpoint.__annotations__ = {"value": model, "return": list[model]}
            app.post(f"/{name}")(endpoint)
    return json.dumps(app.openapi())


@pytest.mark.filterwarnings("ignore::pydantic.warnings.UnsupportedFieldAttributeWarning")
def test_models_of_the_framework_are_described_as_by_fastapi() -> None:
    assert document("ferroapi") == document("fastapi")


def test_descriptions_are_not_inherited() -> None:
    class Event(ServerSentEvent):
        pass

    assert "description" in ServerSentEvent.model_json_schema()
    assert "description" not in Event.model_json_schema()
    assert issubclass(Event, BaseModel)
