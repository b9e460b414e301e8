"""Path templates are read as Starlette reads them, with the regular expression left for later."""

import importlib
from typing import Any

import pytest
from starlette.convertors import CONVERTOR_TYPES, Convertor, IntegerConvertor, StringConvertor
from starlette.responses import PlainTextResponse
from starlette.routing import Route, compile_path
from starlette.testclient import TestClient

from ferroapi import FastAPI
from ferroapi._routing.state import PathTemplate
from ferroapi.routing import APIRoute


class Upper(StringConvertor):
    regex = "[A-Z]+"


@pytest.mark.parametrize(
    "path",
    ["/", "/a", "/a/{b}", "/{a}{b:int}/c.{d:path}", "/{x:float}-{y:uuid}", "/a{", "/{not ok}", "/.*", "/{a:str}/"],
)
def test_template_says_what_starlette_says(path: str) -> None:
    template = PathTemplate.of(path)
    assert template is not None
    assert (template.regex(), template.path_format, template.convertors) == compile_path(path)


@pytest.mark.parametrize("path", ["{sub}.example.org", "", "/{a:unknown}", "/{a}/{a}", "/{a:upper}"])
def test_starlette_reads_what_can_fail(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONVERTOR_TYPES, "upper", Upper())
    assert PathTemplate.of(path) is None


def test_regex_is_compiled_when_asked_for_and_can_be_assigned() -> None:
    app = FastAPI()

    @app.get("/items/{item_id:int}")
    def read(item_id: int) -> int:
        return item_id

    route = app.routes[-1]
    assert isinstance(route, APIRoute)
    assert "path_regex" not in route._own_attributes()
    assert route.path_regex.match("/items/12")
    assert vars(route)["path_regex"] is route.path_regex
    route.path_regex = compile_path("/other/{item_id:int}")[0]
    assert route.path_regex.match("/other/12")


class Negative(Convertor[int]):
    regex = "-?[0-9]+"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


PATHS = ("/a/-5/b", "/a/5/b", "/a/B/c/d", "/a/B", "/r/a/B/c", "/plain/5", "/plain/B")


@pytest.mark.parametrize("kind", ["str", "int", "path"])
@pytest.mark.parametrize(
    "convertor", [Negative(), Upper(), StringConvertor(), IntegerConvertor()], ids=lambda each: type(each).__name__
)
def test_convertor_that_was_registered_in_the_place_of_one_is_asked(
    kind: str, convertor: Convertor[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONVERTOR_TYPES, kind, convertor)
    assert _answers("ferroapi") == _answers("fastapi")


@pytest.mark.parametrize("cls", [StringConvertor, IntegerConvertor])
def test_expression_of_a_convertor_that_was_assigned_is_used(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cls, "regex", "[a-zA-Z]+" if cls is StringConvertor else "-[0-9]+")
    assert _answers("ferroapi") == _answers("fastapi")


def _answers(framework: str) -> list[Any]:
    f = importlib.import_module(framework)
    app, router = f.FastAPI(openapi_url=None), f.APIRouter(prefix="/r")

    @app.get("/a/{x:int}/{y}")
    async def read(x: Any, y: Any) -> Any:
        return {"x": x, "y": y}

    @app.get("/a/{rest:path}")
    @router.get("/a/{rest:path}")
    async def other(rest: Any) -> Any:
        return {"rest": rest}

    app.include_router(router)
    app.router.routes.append(Route("/plain/{x:int}", lambda request: PlainTextResponse(repr(request.path_params))))
    client = TestClient(app, raise_server_exceptions=False)
    answers = [client.get(path) for path in PATHS]
    assert 200 in {answer.status_code for answer in answers}
    return [(answer.status_code, answer.text) for answer in answers]
