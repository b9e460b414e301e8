"""Path templates are read as Starlette reads them, with the regular expression left for later."""

import pytest
from starlette.convertors import CONVERTOR_TYPES, StringConvertor
from starlette.routing import compile_path

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
