"""The parts of the document that are public on their own, and what a whole document cannot show."""

import importlib
import inspect
from typing import Annotated, Any

import fastapi.openapi.utils as reference
import pytest
from pydantic import BaseModel
from starlette.routing import Mount, Route

from ferroapi import APIRouter, Body, Depends, FastAPI, Query, Security
from ferroapi.exceptions import FastAPIDeprecationWarning
from ferroapi.openapi import utils
from ferroapi.routing import APIRoute, iter_route_contexts
from ferroapi.security import APIKeyHeader


class Item(BaseModel):
    name: str


def make_app() -> FastAPI:
    app, router = FastAPI(), APIRouter(prefix="/team")

    @router.post("/items", name="make_item")
    def make(item: Item, q: int = 0) -> Item:
        return item

    app.include_router(router)
    return app


def route_of(app: FastAPI) -> Any:
    return next(context for context in iter_route_contexts(app.routes) if context.name == "make_item")


@pytest.mark.parametrize(
    "name",
    ["validation_error_definition", "validation_error_response_definition", "status_code_ranges"],
)
def test_fixed_definitions_equal_fastapis(name: str) -> None:
    assert repr(getattr(utils, name)) == repr(getattr(reference, name))


@pytest.mark.parametrize("name", utils.__all__)
def test_names_have_the_parameters_and_defaults_of_fastapis(name: str) -> None:
    ours, theirs = getattr(utils, name), getattr(reference, name)
    if not callable(ours):
        return
    parameters = [
        [(parameter.name, parameter.kind) for parameter in inspect.signature(value).parameters.values()]
        for value in (ours, theirs)
    ]
    assert parameters[0] == parameters[1]


def test_get_openapi_accepts_routes_and_route_contexts() -> None:
    app = make_app()
    about: dict[str, Any] = {"title": "t", "version": "1"}
    from_routes = utils.get_openapi(**about, routes=app.routes)
    from_contexts = utils.get_openapi(**about, routes=list(iter_route_contexts(app.routes)))
    assert from_routes == from_contexts
    assert list(from_routes["paths"]) == ["/team/items"]


def test_get_openapi_leaves_out_what_is_no_path_operation() -> None:
    routes = [Route("/plain", lambda request: None), Mount("/mount", app=FastAPI())]
    document = utils.get_openapi(title="t", version="1", routes=routes)
    assert document == {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {}}


def test_get_openapi_visits_each_route_once_and_makes_all_schemas_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("get_definitions", "get_openapi_path"):
        real = getattr(utils, name)

        def counted(*, name: str = name, real: Any = real, **arguments: Any) -> Any:
            calls.append(name)
            return real(**arguments)

        monkeypatch.setattr(utils, name, counted)
    app = FastAPI()
    for number in range(20):
        app.get(f"/{number}")(lambda: None)
    app.openapi()
    assert calls == ["get_definitions"] + ["get_openapi_path"] * 20


def test_get_openapi_path_of_a_hidden_route_is_empty() -> None:
    route: Any = APIRoute("/", lambda: None, include_in_schema=False)
    assert utils.get_openapi_path(route=route, operation_ids=set(), model_name_map={}, field_mapping={}) == ({}, {}, {})


def test_request_body_of_an_operation_without_one_is_none() -> None:
    assert utils.get_openapi_operation_request_body(body_field=None, model_name_map={}, field_mapping={}) is None


def test_request_body_of_a_field_has_its_media_type() -> None:
    app = FastAPI()

    @app.post("/")
    def make(item: Annotated[Item, Body(media_type="text/x-item")]) -> None: ...

    route: Any = app.routes[-1]
    body = utils.get_openapi_operation_request_body(
        body_field=route.body_field,
        model_name_map={},
        field_mapping={(route.body_field, "validation"): {"$ref": "#/x"}},
    )
    assert body == {"required": True, "content": {"text/x-item": {"schema": {"$ref": "#/x"}}}}


def test_generate_operation_id_is_deprecated_but_works() -> None:
    route = route_of(make_app())
    with pytest.warns(FastAPIDeprecationWarning) as caught:
        assert utils.generate_operation_id(route=route, method="POST") == "make_item_team_items_post"
    assert [str(warning.message).split("()")[0] for warning in caught] == [
        "fastapi.openapi.utils.generate_operation_id",
        "fastapi.utils.generate_operation_id_for_path",
    ]


def test_generate_operation_id_prefers_the_one_given() -> None:
    route: Any = APIRoute("/", lambda: None, operation_id="mine")
    with pytest.warns(FastAPIDeprecationWarning):
        assert utils.generate_operation_id(route=route, method="GET") == "mine"


def test_dependency_data_counts_a_shared_dependency_once() -> None:
    scheme = APIKeyHeader(name="X-Key")

    def shared(q: int, key: Annotated[str, Security(scheme)]) -> int:
        return q

    def left(value: Annotated[int, Depends(shared)]) -> int:
        return value

    def endpoint(first: Annotated[int, Depends(left)], second: Annotated[int, Depends(shared)]) -> None: ...

    route: Any = APIRoute("/", endpoint)
    data = utils._get_openapi_dependency_data(route.dependant)
    assert [field.name for field in data.query_params] == ["q"]
    assert len(data.security_dependencies) == 1


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable) and self.number == other.number

    def __call__(self, limit: int) -> int:
        return limit


class FailingHash(Unhashable):
    def __hash__(self) -> int:
        raise RuntimeError("no hash")


@pytest.mark.parametrize("numbers", [(1, 1), (1, 2)])
@pytest.mark.parametrize("cls", [Unhashable, FailingHash])
def test_callables_without_a_hash_are_told_apart_as_in_fastapi(cls: Any, numbers: tuple[int, int]) -> None:
    def document(framework: str) -> Any:
        module = importlib.import_module(framework)
        first, second = (module.Depends(cls(number)) for number in numbers)

        def endpoint(first: int = first, second: int = second) -> None: ...

        app = module.FastAPI()
        app.get("/")(endpoint)
        return app.openapi()

    assert document("ferroapi") == document("fastapi")


@pytest.mark.parametrize(
    "dependencies_of_endpoint",
    [
        pytest.param(("needed", "maybe"), id="required-first"),
        pytest.param(("maybe", "needed"), id="required-last"),
    ],
)
def test_parameter_required_anywhere_is_required_once(dependencies_of_endpoint: tuple[str, str]) -> None:
    def needed(q: Annotated[int, Query(description="needed")]) -> int:
        return q

    def maybe(q: Annotated[int, Query(description="maybe")] = 0) -> int:
        return q

    by_name = {"needed": needed, "maybe": maybe}
    app = FastAPI()
    app.get("/", dependencies=[Depends(by_name[name]) for name in dependencies_of_endpoint])(lambda: None)
    assert [
        (parameter["name"], parameter["required"], parameter["description"])
        for parameter in app.openapi()["paths"]["/"]["get"]["parameters"]
    ] == [("q", True, "needed")]


def test_callbacks_that_are_no_path_operations_are_left_out() -> None:
    app = FastAPI()
    app.get("/", callbacks=[Route("/plain", lambda request: None)])(lambda: None)
    assert app.openapi()["paths"]["/"]["get"]["callbacks"] == {}


def test_duplicate_operation_id_is_reported_in_the_module_where_fastapi_reports_it() -> None:
    """A warning filter may name the module."""
    app, callbacks = FastAPI(), APIRouter()
    callbacks.add_api_route("/", lambda: None, operation_id="same")
    for path in ("/a", "/b"):
        app.get(path, operation_id="same", callbacks=callbacks.routes)(lambda: None)
    with pytest.warns(UserWarning, match="Duplicate Operation ID same") as caught:
        app.openapi()
    assert [warning.filename for warning in caught] == [utils.__file__] * 3


@pytest.mark.parametrize(
    "name",
    [
        "get_openapi_path",
        "get_openapi_operation_metadata",
        "get_openapi_operation_request_body",
        "_get_openapi_operation_parameters",
        "get_fields_from_routes",
        "get_schema_from_model_field",
        "get_definitions",
    ],
)
def test_replaced_name_is_asked_for_the_document(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same keywords and as often as by FastAPI; what it returns counts."""
    documents = []
    for framework in ("fastapi", "ferroapi"):
        f, module = (importlib.import_module(path) for path in (framework, f"{framework}.openapi.utils"))
        app, calls = f.FastAPI(), []

        @app.post("/items/{number}")
        async def add(number: int, item: dict[str, int], size: int = 1) -> dict[str, int]:
            return item

        def replaced(*args: Any, original: Any = getattr(module, name), calls: Any = calls, **keywords: Any) -> Any:
            calls.append((len(args), sorted(keywords)))
            made = original(*args, **keywords)
            return {**made, "x-replaced": True} if isinstance(made, dict) else made

        monkeypatch.setattr(module, name, replaced)
        documents.append([app.openapi(), calls])
    assert documents[0] == documents[1]
    assert documents[0][1]
