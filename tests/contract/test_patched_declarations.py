"""What is replaced while an application is declared, or described, has the same effect as under FastAPI.

The replacements do something else than what they stand in for: that they are asked shows in the answers.
"""

from collections.abc import AsyncIterator, Callable
from inspect import signature
from threading import current_thread, main_thread
from types import SimpleNamespace
from typing import Annotated, Any
from unittest import mock

import pydantic.json_schema
import pytest
from pydantic import BaseModel
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, Response, StreamingResponse

from .test_patch_points import Framework, get


class Item(BaseModel):
    name: str
    count: int = 1


def _endpoint_is_said_to_be_a_coroutine_function(f: Framework) -> Any:
    with mock.patch.object(f.routing, "_is_coroutine_callable", lambda call: True):
        app = f.FastAPI()

        @app.get("/sync")
        def sync() -> bool:
            return current_thread() is main_thread()

    return get(app, "/sync")


def _limit_is_another(f: Framework) -> Any:
    with mock.patch.object(f.routing, "get_body_size_limit", lambda *limits: 5):
        app = f.FastAPI()

        async def echo(content: Annotated[dict[str, Any], f.Body()]) -> Any:
            return content

        router = f.APIRouter()
        router.post("/included")(echo)
        app.post("/own")(echo)
        app.include_router(router)
        # What is included is looked at by the first request.
        patched = get(app, "/own", "/included", method="POST", json={"name": "long"})
    return patched, get(app, "/own", "/included", method="POST", json={"name": "long"})


def _adapter_is_another(f: Framework) -> Any:
    field = f.module("_compat.v2")
    original, asked = field.TypeAdapter, []

    def of_text(annotation: Any, **keywords: Any) -> Any:
        asked.append(1)
        return original(str, **keywords)

    with mock.patch.object(field, "TypeAdapter", of_text):
        app = f.FastAPI()

        @app.get("/plain")
        async def plain(number: int = 1) -> Any:
            return number

    return asked, get(app, "/plain?number=x"), asked


def _model_is_said_to_be_of_the_first_pydantic(f: Framework) -> Any:
    app, refused = f.FastAPI(), []
    with mock.patch.object(f.module("utils"), "annotation_is_pydantic_v1", lambda annotation: annotation is int):
        for endpoint in (lambda number: None, lambda: None):
            endpoint.__annotations__ = dict.fromkeys((*endpoint.__code__.co_varnames, "return"), int)
            try:
                app.get("/plain")(endpoint)
            except Exception as error:
                refused.append((type(error).__name__, str(error)))
    return refused, get(app, "/plain")


def _stream_of_events_is_another(f: Framework, when: str) -> Any:
    events = f.module("sse").EventSourceResponse

    class Other(events):  # type: ignore[misc]
        media_type = "text/other"

    def declared() -> Any:
        app = f.FastAPI()

        async def numbers() -> AsyncIterator[int]:
            yield 1

        app.get("/events", response_class=events)(numbers)
        app.get("/other", response_class=Other)(numbers)
        return app

    app = declared()
    outcome: list[Any] = [get(app, "/events", "/other")] if when == "served" else []
    with mock.patch.object(f.routing, "EventSourceResponse", Other):
        app = declared() if when == "declared" else app
        outcome.append(get(app, "/events", "/other"))
    return [*outcome, get(app, "/events", "/other")]


def _described(f: Framework) -> Any:
    app = f.FastAPI()

    @app.post("/items")
    async def add(item: Item, size: int = 1, words: Annotated[list[str], f.Query()] = []) -> Item:  # noqa: B006
        return item

    app.get("/page", response_class=HTMLResponse)(lambda: "")
    app.get("/stream", response_class=StreamingResponse)(lambda: "")
    return app.openapi()


def _schemas_are_written_otherwise(f: Framework, how: str) -> Any:
    schemas = f.module("_compat.v2")

    class Other(pydantic.json_schema.GenerateJsonSchema):
        def int_schema(self, schema: Any) -> Any:
            return {"type": "integer", "x-other": True}

    def by_default(self: Any, schema: Any) -> Any:
        return {"type": "string", "x-default": True}

    patches: dict[str, Callable[[], Any]] = {
        "place": lambda: mock.patch.object(schemas, "REF_TEMPLATE", "#/other/{model}"),
        "class": lambda: mock.patch.object(schemas, "GenerateJsonSchema", Other),
        "method": lambda: mock.patch.object(schemas.GenerateJsonSchema, "int_schema", Other.int_schema),
        "pydantic": lambda: mock.patch.object(pydantic.json_schema.GenerateJsonSchema, "default_schema", by_default),
        "encoder": lambda: mock.patch.object(f.module("encoders"), "BaseModel", Item),
    }
    plain = _described(f)
    with patches[how]():
        outcome = _described(f)
    assert how == "encoder" or outcome != plain
    return plain, outcome, _described(f)


def _document_reads_another_module(f: Framework, name: str) -> Any:
    utils, plain = f.module("openapi.utils"), _described(f)

    class Answered(Response):
        def __init__(self, content: Any = None, status_code: int = 202, **options: Any) -> None:
            super().__init__(content, status_code, **options)

    class Other:
        """No class that a route is of."""

    def declared() -> Any:
        app = f.FastAPI()
        app.get("/answered", response_class=Answered)(lambda: "")
        return app

    others = {
        "inspect": SimpleNamespace(signature=lambda function: signature(lambda status_code=203: None)),
        "routing": SimpleNamespace(iter_route_contexts=f.routing.iter_route_contexts, APIRoute=Other),
    }
    before = declared().openapi()
    with mock.patch.object(utils, name, others[name]):
        outcome = declared().openapi()
    assert outcome != before
    return plain, before, outcome, declared().openapi()


def _pages_have_other_settings(f: Framework) -> Any:
    app = f.FastAPI()
    before = get(app, "/docs")
    with mock.patch.object(f.module("openapi.docs"), "swagger_ui_default_parameters", {"dom_id": "#other"}):
        return before, get(app, "/docs"), get(app, "/redoc")


CASES: dict[str, Callable[[Framework], Any]] = {
    "coroutine": _endpoint_is_said_to_be_a_coroutine_function,
    "limit": _limit_is_another,
    "adapter": _adapter_is_another,
    "pydantic_v1": _model_is_said_to_be_of_the_first_pydantic,
    **{f"events_{when}": lambda f, when=when: _stream_of_events_is_another(f, when) for when in ("declared", "served")},
    **{
        f"schemas_{how}": lambda f, how=how: _schemas_are_written_otherwise(f, how)
        for how in ("place", "class", "method", "pydantic", "encoder")
    },
    **{
        f"document_{name}": lambda f, name=name: _document_reads_another_module(f, name)
        for name in ("inspect", "routing")
    },
    "pages": _pages_have_other_settings,
}


@pytest.mark.parametrize("name", CASES)
def test_replacement_has_the_same_effect(name: str) -> None:
    assert CASES[name](Framework("ferroapi")) == CASES[name](Framework("fastapi"))


def test_variables_of_a_router_are_those_of_fastapi() -> None:
    """Packages copy routers by them."""
    ours, theirs = (Framework(name).APIRouter() for name in ("ferroapi", "fastapi"))
    assert vars(theirs).keys() <= vars(ours).keys()
    ours.add_api_route("/here", lambda: "here")
    assert vars(ours)["routes"] is ours.routes
    copied = Framework("ferroapi").APIRouter()
    vars(copied).update(vars(ours))
    app = Framework("ferroapi").FastAPI()
    app.include_router(copied)
    assert get(app, "/here") == [[200, '"here"', None]]
    copied.add_api_route("/there", lambda: "there")
    assert get(app, "/there") == [[200, '"there"', None]]


def _recognised_by_class(f: Framework, owner: str, name: str) -> Any:
    class Other:
        """No class that anything is an instance of."""

    app = f.FastAPI()
    router = f.APIRouter()
    router.add_api_route("/included", lambda: 1)
    app.include_router(router)
    with mock.patch.object(f.module(owner), name, Other):
        return get(app, "/included", "/openapi.json")


@pytest.mark.parametrize(
    ("owner", "name"),
    [("routing", "DefaultPlaceholder"), ("openapi.utils", "DefaultPlaceholder")],
)
def test_class_by_which_others_are_recognised_is_asked(owner: str, name: str) -> None:
    """What was made of the class that was there is not of the class that is there now."""
    ours, theirs = (_recognised_by_class(Framework(name_), owner, name) for name_ in ("ferroapi", "fastapi"))
    assert 500 in [status for status, *_ in theirs]
    assert ours == theirs


@pytest.mark.parametrize("is_derived", [False, True])
def test_route_class_that_is_replaced_later_is_recognised(is_derived: bool) -> None:
    """Decided: FastAPI recognises by the class that is there now, so that routes of included routers are 500."""
    answers = []
    for f in (Framework("ferroapi"), Framework("fastapi")):
        other = type("Other", (f.routing.APIRoute,) if is_derived else (), {})
        app, router = f.FastAPI(), f.APIRouter()
        router.add_api_route("/included", lambda: 1)
        app.include_router(router)
        app.add_api_route("/own", lambda: 1)
        with mock.patch.object(f.routing, "APIRoute", other):
            answers.append([status for status, *_ in get(app, "/own", "/included", "/openapi.json")])
    assert answers == [[200, 200, 200], [200, 500, 200]]


def test_layers_of_a_stack_are_called_as_under_fastapi() -> None:
    """Tracers name a layer by its class, also while an application is entered past one of Starlette's."""
    names = []
    for f in (Framework("ferroapi"), Framework("fastapi")):
        app = f.FastAPI()
        app.add_api_route("/here", lambda: "here")
        app.add_middleware(GZipMiddleware)
        get(app, "/here")
        layer, found = app.middleware_stack, []
        while hasattr(layer, "app"):
            found.append(f"{type(layer).__module__}.{type(layer).__qualname__}".replace("ferroapi", "fastapi"))
            layer = layer.app
        names.append(found)
    assert names[0] == names[1]
    assert "starlette.middleware.exceptions.ExceptionMiddleware" in names[0]
