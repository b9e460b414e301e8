import importlib
from typing import Any

import fastapi.responses
import pytest
from starlette.responses import JSONResponse

from ferroapi import responses
from ferroapi.exceptions import FastAPIDeprecationWarning

CONTENT = {"text": "é", "number": 1}


@pytest.mark.parametrize("name", [pytest.param("ORJSONResponse", marks=pytest.mark.gil), "UJSONResponse"])
def test_deprecated_response_warns_and_renders_as_fastapis(name: str) -> None:
    with pytest.warns(FastAPIDeprecationWarning) as ours:
        answer = getattr(responses, name)(CONTENT)
    with pytest.warns(fastapi.exceptions.FastAPIDeprecationWarning) as theirs:
        expected = getattr(fastapi.responses, name)(CONTENT)
    assert answer.body == expected.body
    assert str(ours[0].message) == str(theirs[0].message)
    assert ours[0].filename == theirs[0].filename


@pytest.mark.parametrize(("name", "package"), [("ORJSONResponse", "orjson"), ("UJSONResponse", "ujson")])
def test_deprecated_response_says_which_package_is_missing(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, package, None)
    with (
        pytest.warns(FastAPIDeprecationWarning),
        pytest.raises(AssertionError, match=f"{package} must be installed to use {name}"),
    ):
        getattr(responses, name)(CONTENT)


def test_optional_package_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.delitem(vars(responses), "orjson", raising=False)
    monkeypatch.setattr("importlib.import_module", missing)
    assert responses.__getattr__("orjson") is None
    monkeypatch.delitem(vars(responses), "orjson", raising=False)


def test_module_has_no_other_late_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        responses.missing  # noqa: B018


def test_deprecated_responses_are_json_responses() -> None:
    assert issubclass(responses.ORJSONResponse, JSONResponse)
    assert responses.JSONResponse is JSONResponse


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("change", ["raw_headers", "raw_headers at first", "headers"])
def test_headers_of_the_injected_response_are_those_of_its_attribute_headers(change: str, is_async: bool) -> None:
    def answer(framework: str) -> Any:
        api: Any = importlib.import_module(framework)
        app = api.FastAPI()

        def guard(response: Any) -> None:
            if change != "raw_headers at first":
                response.headers["x-first"] = "1"
            if change != "headers":
                response.raw_headers = [(b"x-new", b"1"), (b"x-new", b"2")]
            response.headers.append("x-last", "2")

        async def guard_async(response: Any) -> None:
            guard(response)

        for function in (guard, guard_async):
            function.__annotations__["response"] = api.Response

        async def root() -> dict[str, int]:
            return {"a": 1}

        app.get("/", dependencies=[api.Depends(guard_async if is_async else guard)])(root)

        with importlib.import_module(f"{framework}.testclient").TestClient(app) as client:
            return client.get("/").headers.multi_items()

    assert ("x-last", "2") in answer("fastapi")
    assert answer("ferroapi") == answer("fastapi")
