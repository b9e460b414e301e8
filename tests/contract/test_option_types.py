"""Options with values of other types than declared: FastAPI asks whether they are true, or passes them on."""

import enum
import functools
from http import HTTPStatus
from typing import Any

import fastapi
import pytest
from pydantic import BaseModel
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

import ferroapi


class Switch(enum.IntEnum):
    OFF = 0
    ON = 1


class Record(BaseModel):
    """A model that the engine writes by itself."""

    number: int = 1
    text: str | None = None


class ResponseMaker:
    """What makes responses, and cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __call__(self, content: Any, **options: Any) -> PlainTextResponse:
        return PlainTextResponse(f"made of {content}", **options)


def answer(app: Any, path: str = "/") -> tuple[int, str, str | None]:
    response = TestClient(app, raise_server_exceptions=False).get(path)
    return response.status_code, response.text, response.headers.get("content-type")


FALSE_AND_TRUE = [None, 0, "", [], Switch.OFF, 1, 2.5, "no", [0], Switch.ON]


@pytest.mark.parametrize("use_cache", FALSE_AND_TRUE, ids=repr)
def test_use_cache_of_any_type_is_asked_whether_it_is_true(use_cache: Any) -> None:
    def served(framework: Any) -> Any:
        calls: list[int] = []

        def count() -> int:
            calls.append(1)
            return len(calls)

        app = framework.FastAPI()

        @app.get("/")
        async def read(
            first: int = framework.Depends(count),
            second: int = framework.Depends(count, use_cache=use_cache),
            third: int = framework.Depends(count, use_cache=use_cache),
        ) -> list[int]:
            return [first, second, third]

        return answer(app)

    assert served(ferroapi) == served(fastapi) == (200, "[1,1,1]" if use_cache else "[1,2,3]", "application/json")


@pytest.mark.parametrize("value", [None, 0, 1, "", "no"], ids=repr)
@pytest.mark.parametrize(
    "option", ["by_alias", "exclude_unset", "exclude_defaults", "exclude_none", "include", "exclude"]
)
@pytest.mark.parametrize("text", [False, True])
def test_response_model_option_of_another_type_is_pydantics_to_judge(option: str, value: Any, text: bool) -> None:
    def served(framework: Any) -> Any:
        app = framework.FastAPI()
        options = {f"response_model_{option}": value}
        if text:

            @app.get("/", response_model=str, response_class=PlainTextResponse, **options)
            async def read_text() -> Any:
                return "text"
        else:

            @app.get("/", response_model=Record, **options)
            async def read() -> Any:
                return {"number": 2}

        return answer(app)

    assert served(ferroapi) == served(fastapi)


@pytest.mark.parametrize("make", [ResponseMaker, lambda: functools.partial(PlainTextResponse, headers={"x": "y"})])
def test_response_class_may_be_any_callable(make: Any) -> None:
    def served(framework: Any) -> Any:
        app = framework.FastAPI(openapi_url=None)

        @app.get("/", response_class=make())
        async def read() -> Any:
            return "text"

        return answer(app)

    assert served(ferroapi) == served(fastapi)
    assert served(ferroapi)[0] == HTTPStatus.OK


@pytest.mark.parametrize("root_path", ["", "/proxy"])
@pytest.mark.parametrize("document", ["text", 5, [1], None, Switch.ON, {"openapi": "3.1.0"}], ids=repr)
@pytest.mark.parametrize("how", ["method", "schema"])
def test_document_may_be_whatever_json_can_say(how: str, document: Any, root_path: str) -> None:
    def served(framework: Any) -> Any:
        app = framework.FastAPI()
        if how == "method":
            app.openapi = lambda: document
        else:
            app.openapi()
            app.openapi_schema = document
        client = TestClient(app, raise_server_exceptions=False, root_path=root_path)
        response = client.get("/openapi.json")
        return response.status_code, response.text

    assert served(ferroapi) == served(fastapi)
