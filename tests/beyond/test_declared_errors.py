# mypy: disable-error-code="untyped-decorator"
"""Errors that are declared: in the document, returned by an endpoint, and missed by a test suite."""

import importlib.util
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import fastapi
import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from ferroapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, Security
from ferroapi.errors import DeclaredHTTPException, ErrorRecorder
from ferroapi.exceptions import FastAPIError
from ferroapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from ferroapi.routing import APIRoute
from ferroapi.testclient import TestClient


def example() -> Any:
    path = Path(__file__).parents[2] / "examples" / "beyond" / "errors.py"
    spec = importlib.util.spec_from_file_location("example_errors", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Missing(DeclaredHTTPException):
    """It is not there."""

    status_code = 404
    detail = "missing"


class Gone(DeclaredHTTPException):
    status_code = 404
    detail = "gone"
    headers = {"x-since": "1999"}  # noqa: RUF012


class Refused(HTTPException):
    status_code = 403


class Item(BaseModel):
    n: int


class Handled(APIRoute):
    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Any:
            return await handler(request)

        return handle


def responses(app: FastAPI, path: str = "/") -> Any:
    return app.openapi()["paths"][path]["get"]["responses"]


def test_the_example_answers_what_it_documents() -> None:
    module = example()
    recorder = ErrorRecorder(module.app)
    client = TestClient(recorder)

    assert client.get("/items/1", params={"token": "t"}).json() == 5
    missing = client.get("/items/2", params={"token": "t"})
    assert (missing.status_code, missing.json()) == (404, {"detail": "Item not found"})
    refused = client.get("/items/1")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert client.post("/items/1/order", params={"wanted": 2}).json() == 3
    assert client.post("/items/2/order", params={"wanted": 2}).json() == {"detail": "Item not found"}
    shortage = client.post("/items/1/order", params={"wanted": 9})
    assert (shortage.status_code, shortage.json()) == (409, {"detail": {"wanted": 9, "left": 5}})

    assert recorder.undeclared() == []
    document = module.app.openapi()
    assert set(document["paths"]["/items/{item}"]["get"]["responses"]) == {"200", "401", "404", "422"}
    assert set(document["paths"]["/items/{item}/order"]["post"]["responses"]) == {"200", "404", "409", "422"}
    body = document["components"]["schemas"]["OutOfStockBody"]
    assert body["properties"]["detail"] == {"$ref": "#/components/schemas/Shortage"}
    own = document["paths"]["/items/{item}/order"]["post"]["responses"]["200"]
    assert own["content"]["application/json"]["schema"]["type"] == "integer"


def test_errors_of_one_status_are_one_response() -> None:
    app = FastAPI()
    app.get("/", raises=[Missing, Gone, Missing], response_class=PlainTextResponse)(lambda: "")

    response = responses(app)["404"]

    assert response["description"] == "It is not there. / gone"
    assert response["headers"]["x-since"]["example"] == "1999"
    [(media_type, content)] = response["content"].items()
    assert media_type == "application/json"
    assert [each["$ref"].rpartition("/")[2] for each in content["schema"]["anyOf"]] == ["MissingBody", "GoneBody"]
    assert content["examples"]["Gone"]["value"] == {"detail": "gone"}


def test_errors_of_all_levels_are_documented() -> None:
    def errors(*names: int) -> list[Any]:
        return [type(f"Error{name}", (HTTPException,), {"status_code": name}) for name in names]

    def inner() -> None: ...

    class OfAnnotation: ...

    def outer(
        value: Annotated[None, Depends(inner, raises=errors(405))],
        other: Annotated[OfAnnotation, Security(raises=errors(403))],
    ) -> None: ...

    app = FastAPI(raises=errors(400))
    router = APIRouter(raises=errors(401), dependencies=[Depends(outer, raises=errors(406))])
    router.get("/", raises=errors(402))(lambda: None)
    outside = APIRouter(raises=errors(407))
    outside.include_router(router, raises=errors(408))
    app.include_router(outside, prefix="/p", raises=errors(409))

    expected = {"200", *(str(status) for status in range(400, 410) if status != 404)}
    assert set(responses(app, "/p/")) == expected


def test_what_is_written_out_by_hand_goes_before() -> None:
    app = FastAPI()
    app.get("/", raises=[Missing], responses={404: {"description": "by hand", "model": Item}})(lambda: None)

    response = responses(app)["404"]

    assert response["description"] == "by hand"
    assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Item"}


@pytest.mark.parametrize("error", [HTTPException, ValueError, Missing(), 404])
def test_what_is_no_error_class_is_refused_at_declaration(error: Any) -> None:
    for declare in (
        lambda: FastAPI().get("/", raises=[error])(lambda: None),
        lambda: APIRouter(raises=[error]),
        lambda: FastAPI().include_router(APIRouter(), raises=[error], prefix="/p"),
    ):
        with pytest.raises(FastAPIError, match="cannot be declared"):
            declare()


class NoPhrase(HTTPException):
    status_code = 499


class Truth(HTTPException):
    status_code = True


class Numbered(HTTPException):
    status_code = 404
    headers = {"retry-after": 1}  # noqa: RUF012


class Computed(HTTPException):
    status_code = 404
    headers = property(lambda self: {})


class Far(DeclaredHTTPException):
    status_code = 4040
    detail = "far"


NAMED_CLASSES = [
    (NoPhrase, "NoPhrase'> needs a `detail`: the status 499"),
    (Truth, "Truth'> cannot be declared"),
    (Numbered, "`headers` of <class '.*Numbered'> must be a mapping of texts to texts"),
    (Computed, "`headers` of <class '.*Computed'> must be a mapping of texts to texts"),
    (HTTPException, "HTTPException'> cannot be declared"),
    (Far, "Far'> has the status 4040, which cannot be answered: a status has three digits"),
]


@pytest.mark.parametrize(("error", "message"), NAMED_CLASSES)
def test_a_class_that_cannot_be_answered_is_named_at_declaration(error: Any, message: str) -> None:
    def endpoint() -> Any: ...

    endpoint.__annotations__["return"] = Item | error

    def use(_: Annotated[None, Depends(lambda: None, raises=[error])]) -> None: ...

    for declare in (
        lambda: FastAPI().get("/", raises=[error])(lambda: None),
        lambda: FastAPI().get("/")(endpoint),
        lambda: FastAPI().get("/")(use),
    ):
        with pytest.raises(FastAPIError, match=message):
            declare()


@pytest.mark.parametrize("errors", [Missing, None, 404])
def test_what_is_no_list_is_refused_at_declaration(errors: Any) -> None:
    for declare in (
        lambda: FastAPI().get("/", raises=errors)(lambda: None),
        lambda: APIRouter(raises=errors),
        lambda: FastAPI().include_router(APIRouter(), raises=errors, prefix="/p"),
        *((lambda: FastAPI(dependencies=[Depends(print, raises=errors)]).get("/")(print),) if errors else ()),
    ):
        with pytest.raises(FastAPIError, match="`raises` is a list of classes, not"):
            declare()


Alias = TypeAliasType("Alias", Item | Missing)
ANNOTATIONS = [Item | Missing, Annotated[Item | Missing, "note"], Alias, Annotated[Alias, "note"]]


@pytest.mark.parametrize("annotation", ANNOTATIONS)
def test_errors_are_found_in_each_form_of_a_union(annotation: Any) -> None:
    app = FastAPI()

    async def endpoint(*, is_there: bool) -> Any:
        return Item(n=1) if is_there else Missing()

    endpoint.__annotations__["return"] = annotation
    app.get("/")(endpoint)

    assert responses(app)["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Item"}
    assert responses(app)["404"]["description"] == "It is not there."
    client = TestClient(app)
    assert client.get("/", params={"is_there": True}).json() == {"n": 1}
    assert client.get("/", params={"is_there": False}).status_code == 404


def test_an_answer_without_a_body_may_be_an_error_instead() -> None:
    app = FastAPI()

    @app.get("/", status_code=204)
    async def endpoint(*, is_there: bool) -> Missing | None:
        return None if is_there else Missing()

    client = TestClient(app)
    assert client.get("/", params={"is_there": True}).status_code == 204
    assert client.get("/", params={"is_there": False}).json() == {"detail": "missing"}


def test_headers_that_are_given_go_before_those_of_the_class() -> None:
    assert Gone().headers == {"x-since": "1999"}
    assert Gone(headers={}).headers == {}
    assert Gone(headers={"x-since": "2000"}).headers == {"x-since": "2000"}


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("route_class", [APIRoute, Handled])
def test_a_returned_error_is_an_answer(is_async: bool, route_class: Any) -> None:
    log: list[str] = []

    async def resource() -> AsyncIterator[None]:
        try:
            yield
            log.append("closed")
        except BaseException:
            log.append("failed")
            raise

    app = FastAPI()
    app.router.route_class = route_class

    def endpoint(tasks: BackgroundTasks, value: int = 0) -> Item | Missing | Gone:
        tasks.add_task(log.append, "background")
        return Gone("long ago") if value else Item(n=value)

    async def coroutine(tasks: BackgroundTasks, value: int = 0) -> Item | Missing | Gone:
        return endpoint(tasks, value)

    app.get("/", dependencies=[Depends(resource)])(coroutine if is_async else endpoint)
    client = TestClient(app)

    assert client.get("/").json() == {"n": 0}
    answer = client.get("/", params={"value": 1})

    assert (answer.status_code, answer.json()) == (404, {"detail": "long ago"})
    assert answer.headers["x-since"] == "1999"
    assert log.count("closed") == log.count("background") == 2
    assert "failed" not in log
    assert responses(app)["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Item"}
    expected = "native" if route_class is APIRoute else "handler"
    assert [row.mode for row in app.explain() if row.path == "/"] == [expected]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_returned_error_meets_its_own_handler(is_async: bool) -> None:
    app = FastAPI()

    def handle(request: Request, error: Any) -> JSONResponse:
        return JSONResponse({"handled": error.detail, "path": request.url.path}, status_code=418)

    async def handle_async(request: Request, error: Any) -> JSONResponse:
        return handle(request, error)

    app.add_exception_handler(Missing, handle_async if is_async else handle)

    @app.get("/")
    async def endpoint() -> Missing:
        return Missing()

    answer = TestClient(app).get("/")

    assert (answer.status_code, answer.json()) == (418, {"handled": "missing", "path": "/"})


def test_a_suite_is_told_what_is_not_declared() -> None:
    app = FastAPI()

    @app.get("/{kind}", raises=[Missing])
    async def endpoint(kind: str) -> None:
        raise Missing if kind == "missing" else Refused(403)

    recorder = ErrorRecorder(app)
    client = TestClient(recorder)
    client.get("/missing")
    assert recorder.undeclared() == []

    client.get("/refused")
    client.get("/refused")

    assert recorder.undeclared() == ["GET /{kind} answered 403, which is not declared"]


def test_answers_of_a_mounted_application_are_its_own() -> None:
    app, mounted = FastAPI(), FastAPI()
    app.get("/items")(lambda: None)
    app.mount("/mounted", mounted)

    @mounted.get("/items")
    async def endpoint() -> None:
        raise Missing

    recorder = ErrorRecorder(app)
    assert TestClient(recorder).get("/mounted/items").status_code == 404
    assert recorder.undeclared() == []


def test_fastapi_refuses_what_is_added() -> None:
    with pytest.raises(TypeError):
        fastapi.FastAPI().get("/", raises=[Missing])  # type: ignore[call-arg]


def test_an_override_that_does_not_know_the_option_is_called_as_under_fastapi() -> None:
    class Strict(APIRoute):
        def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
            assert "raises" not in options
            super().__init__(path, endpoint, **options)

    router = APIRouter(route_class=Strict)
    router.get("/")(lambda: None)


def test_detail_that_was_not_given_is_the_models_own() -> None:
    class Shortage(BaseModel):
        left: int = 0
        since: str = "today"

    class Short(DeclaredHTTPException):
        status_code = 409
        model = Shortage

    app = FastAPI()

    @app.get("/", raises=[Short])
    async def read(given: bool = False) -> None:
        raise Short(Shortage(left=2)) if given else Short

    client = TestClient(app)
    assert client.get("/").json() == {"detail": {"left": 0, "since": "today"}}
    assert client.get("/?given=1").json() == {"detail": {"left": 2, "since": "today"}}


def test_detail_that_a_model_requires_must_be_given() -> None:
    class Inner(BaseModel):
        sku: str

    class Shortage(BaseModel):
        left: int
        of: Inner = Inner(sku="a")

    class Short(DeclaredHTTPException):
        status_code = 409
        model = Shortage

    with pytest.raises(TypeError, match=r"^Short\(\) needs a detail: its model Shortage has no default for `left`$"):
        Short()
    assert Short({"left": 1}).detail == {"left": 1}


@pytest.mark.parametrize("error", [Missing, HTTPException])
@pytest.mark.parametrize("is_async", [True, False])
def test_error_among_the_items_of_a_stream_is_refused(error: type[HTTPException], is_async: bool) -> None:
    app = FastAPI()

    async def items() -> Any:
        yield 1

    def sync_items() -> Any:
        yield 1

    endpoint = items if is_async else sync_items
    endpoint.__annotations__["return"] = (AsyncIterator if is_async else Iterator)[int | error]
    with pytest.raises(FastAPIError, match=rf"{error.__name__}'> cannot be an item of a stream: raise it, name it in"):
        app.get("/")(endpoint)
    # Here the items have no type that counts.
    app.get("/chunks", response_class=StreamingResponse)(endpoint)
    app.get("/untyped", response_model=None)(endpoint)


class Left(BaseModel):
    left: int = 0


class Used(BaseModel):
    used: str = ""


def of_module(module: str, model: type[BaseModel], document: str) -> Any:
    """Return a class of the name that another module has for an error of its own."""
    body = {"status_code": 409, "model": model, "__module__": module, "__doc__": document}
    return type("Conflict", (DeclaredHTTPException,), body)


@pytest.mark.parametrize("problem_details", [False, True])
def test_errors_of_one_name_are_told_apart_by_their_modules(problem_details: bool) -> None:
    # A class of another application's, which is not in this document.
    FastAPI().get("/", raises=[of_module("others", Left, "Others.")])(lambda: None)
    app = FastAPI(problem_details=problem_details)
    app.get("/stock", raises=[of_module("stock", Left, "Not enough.")])(lambda: None)
    app.get("/users", raises=[of_module("users", Used, "Name is taken.")])(lambda: None)
    document = app.openapi()
    answers = {path: document["paths"][path]["get"]["responses"]["409"] for path in ("/stock", "/users")}
    assert [answer["description"] for answer in answers.values()] == ["Not enough.", "Name is taken."]
    schemas = {path: next(iter(answer["content"].values()))["schema"] for path, answer in answers.items()}
    if problem_details:
        assert {*map(str, schemas.values())} == {
            str({"allOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Problem", model)]})
            for model in ("Left", "Used")
        }
    else:
        names = {path: schema["$ref"].rpartition("/")[2] for path, schema in schemas.items()}
        assert names == {"/stock": "stock__ConflictBody", "/users": "users__ConflictBody"}
