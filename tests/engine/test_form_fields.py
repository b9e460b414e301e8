"""The only field of a form, by its type: from the form's values, or from the form as a whole, as in FastAPI."""

import importlib
from types import ModuleType
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Json
from starlette.testclient import TestClient


class Item(BaseModel):
    size: int = 3


class Other(BaseModel):
    name: str = ""


FIELDS: dict[str, Any] = {
    "model": Item,
    "union": Item | Other,
    "json of a model": Json[Item],
    "json of a list": Json[list[Item]],
    "optional json": Json[Item] | None,
    "list of json": list[Json[Item]],
    "json": Json,
    "dictionary": dict[str, str],
}
FORMS: tuple[dict[str, Any], ...] = (
    {"field": '{"size": "5"}'},
    {"size": "4"},
    {"field": ["[1]", "[]"]},
    {"name": "n", "size": "q"},
    {},
)


def answers(framework: ModuleType, declared: Any) -> list[tuple[int, bytes]]:
    app = framework.FastAPI(openapi_url=None)

    def read(field: Any) -> Any:
        return field

    read.__annotations__["field"] = declared
    app.post("/")(read)
    client = TestClient(app)
    sent: list[dict[str, Any]] = [{"data": form} for form in FORMS] + [
        {"json": {"field": {}}},
        {"files": {"a": b"", "field": (None, b"{}")}},
    ]
    return [(answer.status_code, answer.content) for answer in (client.post("/", **each) for each in sent)]


@pytest.mark.parametrize("kind", ["Form", "File"])
@pytest.mark.parametrize("field", FIELDS)
def test_only_field_of_a_form_is_that_of_fastapi(field: str, kind: str) -> None:
    def found(name: str) -> list[tuple[int, bytes]]:
        framework = importlib.import_module(name)
        return answers(framework, Annotated[FIELDS[field], getattr(framework, kind)()])

    assert found("ferroapi") == found("fastapi")
