"""Objects of the real `fastapi` that meet ferroapi without the alias are refused where they are declared."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import fastapi
import fastapi.datastructures
import fastapi.exceptions
import fastapi.params
import fastapi.routing
import fastapi.security
import fastapi.sse
import pytest
import wrapt
from starlette.responses import HTMLResponse

from ferroapi import APIRouter, BackgroundTasks, Depends, FastAPI, UploadFile
from ferroapi.exceptions import FastAPIError
from ferroapi.responses import PlainTextResponse
from ferroapi.testclient import TestClient

Declare = Callable[[FastAPI], Any]


def guard() -> None:
    raise AssertionError("never called")


def router() -> fastapi.APIRouter:
    made = fastapi.APIRouter()
    made.get("/x")(lambda: None)
    return made


class OwnRoute(fastapi.routing.APIRoute):
    pass


class OwnError(fastapi.HTTPException):
    pass


def endpoint(*parameters: tuple[Any, Any]) -> Callable[..., None]:
    """A function with one parameter for each pair of annotation and default."""

    def call(**values: Any) -> None:
        raise AssertionError("never called")

    kind = inspect.Parameter.KEYWORD_ONLY
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(f"p{number}", kind, annotation=annotation, default=default)
            for number, (annotation, default) in enumerate(parameters)
        ]
    )
    return call


def get(annotation: Any, default: Any) -> Declare:
    return lambda app: app.get("/x")(endpoint((annotation, default)))


CASES: list[tuple[str, Declare]] = [
    ("fastapi.params.Depends", get(int, fastapi.Depends(guard))),
    ("fastapi.params.Depends", get(Annotated[int, fastapi.Depends(guard)], 1)),
    ("fastapi.params.Depends", lambda app: app.get("/x", dependencies=[fastapi.Depends(guard)])(guard)),
    ("fastapi.params.Depends", lambda app: FastAPI(dependencies=[fastapi.Depends(guard)])),
    ("fastapi.params.Depends", lambda app: app.include_router(APIRouter(), dependencies=[fastapi.Depends(guard)])),
    ("fastapi.params.Depends", lambda app: app.websocket("/x", dependencies=[fastapi.Depends(guard)])(guard)),
    ("fastapi.params.Security", get(int, fastapi.Security(guard, scopes=["a"]))),
    *((f"fastapi.params.{kind.__name__}", get(int, kind())) for kind in (fastapi.params.Query, fastapi.params.Header)),
    *((f"fastapi.params.{kind.__name__}", get(int, kind())) for kind in (fastapi.params.Cookie, fastapi.params.Body)),
    ("fastapi.params.Form", get(Annotated[int, fastapi.Form()], 1)),
    ("fastapi.params.File", get(Annotated[bytes, fastapi.File()], b"")),
    ("fastapi.security.http.HTTPBearer", get(str, Depends(fastapi.security.HTTPBearer()))),
    ("fastapi.security.oauth2.OAuth2PasswordRequestForm", get(fastapi.security.OAuth2PasswordRequestForm, Depends())),
    ("fastapi.security.oauth2.SecurityScopes", get(fastapi.security.SecurityScopes, None)),
    ("fastapi.routing.APIRouter", lambda app: app.include_router(router())),  # type: ignore[arg-type]
    ("fastapi.routing.APIRouter", lambda app: FastAPI(webhooks=router())),  # type: ignore[arg-type]
    ("fastapi.routing.APIRoute", lambda app: FastAPI(routes=router().routes)),
    ("fastapi.routing.APIRoute", lambda app: app.get("/x", callbacks=router().routes)(guard)),
    ("fastapi.routing.APIRoute", lambda app: APIRouter(route_class=OwnRoute)),  # type: ignore[arg-type]
    (
        "fastapi.sse.EventSourceResponse",
        lambda app: app.get("/x", response_class=fastapi.sse.EventSourceResponse)(guard),
    ),
    (
        "fastapi.datastructures.DefaultPlaceholder",
        lambda app: app.get("/x", response_class=fastapi.datastructures.Default(HTMLResponse))(guard),
    ),
    (
        "fastapi.exceptions.RequestValidationError",
        lambda app: app.exception_handler(fastapi.exceptions.RequestValidationError)(guard),
    ),
    ("fastapi.exceptions.HTTPException", lambda app: FastAPI(exception_handlers={fastapi.HTTPException: guard})),  # type: ignore[dict-item]
    # The real framework asks the router that it is to include.
    ("fastapi.routing.APIRouter", lambda app: fastapi.FastAPI().include_router(APIRouter())),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("name", "declare"), CASES, ids=[f"{number}-{name}" for number, (name, _) in enumerate(CASES)])
def test_foreign_object_is_refused_where_it_is_declared(name: str, declare: Declare) -> None:
    with pytest.raises(FastAPIError) as caught:
        declare(FastAPI())
    message = str(caught.value)
    assert f"{name}, of the real fastapi" in message
    assert "FERROAPI_ALIAS=1" in message and "ferroapi.alias.install()" in message


def test_foreign_route_put_into_the_list_is_refused_by_the_next_request() -> None:
    app = FastAPI()
    app.router.routes.extend(router().routes)
    with pytest.raises(FastAPIError, match=r"fastapi.routing.APIRoute, of the real fastapi"):
        TestClient(app).get("/x")


def test_method_that_nobody_made_an_endpoint_is_warned_of() -> None:
    """As with Ray Serve, which looks for an application of the real `fastapi` before it fills in `self`."""
    app = FastAPI()

    class Service:
        @app.get("/items/{number}")
        def item(self, number: int) -> int:
            return number

    with pytest.warns(RuntimeWarning, match=r"Service.item takes `self` from the query.* FERROAPI_ALIAS=1"):
        response = TestClient(app).get("/items/3")
    assert response.status_code == 422


class Instrumented(fastapi.FastAPI):
    """As OpenTelemetry puts its own class in the place of FastAPI's."""


def wrapper(*_: Any) -> None:
    """As Sentry, New Relic and logfire put functions of their own there."""


@pytest.mark.parametrize(
    ("owner", "name", "value", "where"),
    [
        (fastapi, "FastAPI", Instrumented, "fastapi.FastAPI"),
        (fastapi.FastAPI, "build_middleware_stack", wrapper, "fastapi.applications.FastAPI.build_middleware_stack"),
        (fastapi.routing, "run_endpoint_function", wrapper, "fastapi.routing.run_endpoint_function"),
        (fastapi.routing, "get_request_handler", wrapper, "fastapi.routing.get_request_handler"),
        (
            fastapi.routing,
            "serialize_response",
            wrapt.FunctionWrapper(fastapi.routing.serialize_response, wrapper),  # type: ignore[arg-type]
            "fastapi.routing.serialize_response",
        ),
    ],
    ids=["class", "method", "function", "handler", "wrapt"],
)
def test_tracer_of_the_real_framework_is_warned_of(
    owner: Any, name: str, value: Any, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, value)
    with pytest.warns(RuntimeWarning, match=rf"has replaced {where} of the real fastapi.* FERROAPI_ALIAS=1") as caught:
        FastAPI()
    assert caught[0].filename == __file__
    monkeypatch.undo()
    FastAPI()


def test_foreign_names_that_do_the_same_are_taken() -> None:
    """What the real `fastapi` has from Starlette, and its subclasses that add nothing a request could tell."""
    app = FastAPI()
    sub = fastapi.FastAPI()
    sub.get("/")(lambda: "sub")
    app.mount("/sub", sub)

    @app.exception_handler(OwnError)
    def own_error(request: fastapi.Request, error: OwnError) -> PlainTextResponse:
        return PlainTextResponse(error.detail, error.status_code)

    @app.post("/x")
    def take(file: fastapi.UploadFile, tasks: fastapi.BackgroundTasks, request: fastapi.Request) -> list[bool]:
        return [file.filename == "name", isinstance(tasks, BackgroundTasks), request.method == "POST"]

    @app.post("/ours")
    def ours(file: UploadFile) -> None:
        raise OwnError(418, "own")

    @app.get("/error")
    def error() -> None:
        raise fastapi.HTTPException(418, "short and stout")

    client = TestClient(app)
    assert client.get("/sub/").json() == "sub"
    assert client.post("/x", files={"file": ("name", b"")}).json() == [True, True, True]
    assert client.post("/ours", files={"file": ("name", b"")}).text == "own"
    assert client.get("/error").json() == {"detail": "short and stout"}
