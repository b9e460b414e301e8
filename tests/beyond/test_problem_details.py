# mypy: disable-error-code="untyped-decorator"
"""Default error answers as problem details, beside those without the option."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ferroapi import APIRouter, FastAPI, HTTPException, Request
from ferroapi.errors import DeclaredHTTPException
from ferroapi.responses import JSONResponse
from ferroapi.routing import APIRoute
from ferroapi.testclient import TestClient

MEDIA_TYPE = "application/problem+json"


class Balance(BaseModel):
    balance: int


class OutOfCredit(DeclaredHTTPException):
    """There is not enough credit."""

    status_code = 403
    model = Balance


class ItemNotFound(DeclaredHTTPException):
    status_code = 404
    detail = "no such item"
    headers = {"x-reason": "none"}  # noqa: RUF012


class Handled(APIRoute):
    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Any:
            return await handler(request)

        return handle


RAISED: dict[str, Any] = {
    "plain": HTTPException(400, "no"),
    "phrase": HTTPException(409),
    "object": HTTPException(402, {"type": "https://example.com/credit", "balance": 30, "status": 1}),
    "list": HTTPException(400, ["a", "b"]),
    "declared": ItemNotFound(),
    "model": OutOfCredit(Balance(balance=3)),
    "empty": HTTPException(304),
    "unknown": HTTPException(499, "left"),
}


def application(**options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.get("/raised/{name}")
    async def raised(name: str) -> None:
        raise RAISED[name]

    @app.get("/numbers")
    async def numbers(number: int) -> int:
        return number

    @app.post("/body")
    async def body(items: list[int]) -> int:
        return len(items)

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("a secret")

    @app.get("/returned", raises=[ItemNotFound])
    async def returned() -> int | OutOfCredit:
        return OutOfCredit(Balance(balance=4))

    return app


def client(route_class: Any = APIRoute, **options: Any) -> TestClient:
    app = application(problem_details=True, **options)
    for route in app.router.routes:
        if isinstance(route, APIRoute) and route_class is not APIRoute:
            route.__class__ = route_class
            route.app = route._build_app(route)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("route_class", [APIRoute, Handled])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "no"}),
        ("phrase", {"type": "about:blank", "title": "Conflict", "status": 409, "detail": "Conflict"}),
        (
            "object",
            {"type": "https://example.com/credit", "title": "Payment Required", "status": 402, "balance": 30},
        ),
        ("list", {"type": "about:blank", "title": "Bad Request", "status": 400, "errors": ["a", "b"]}),
        (
            "declared",
            {"type": "urn:problem-type:item-not-found", "title": "Not Found", "status": 404, "detail": "no such item"},
        ),
        (
            "model",
            {
                "type": "urn:problem-type:out-of-credit",
                "title": "There is not enough credit.",
                "status": 403,
                "balance": 3,
            },
        ),
        ("unknown", {"type": "about:blank", "title": "Error", "status": 499, "detail": "left"}),
    ],
)
def test_an_exception_is_a_problem(name: str, expected: dict[str, Any], route_class: Any) -> None:
    answer = client(route_class).get(f"/raised/{name}")

    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.status_code == expected["status"]
    assert answer.json() == {**expected, "instance": f"/raised/{name}"}
    if name == "declared":
        assert answer.headers["x-reason"] == "none"


def test_a_status_without_a_body_has_none() -> None:
    answer = client().get("/raised/empty")
    assert (answer.status_code, answer.content) == (304, b"")


def test_what_the_router_refuses_is_a_problem() -> None:
    missing, refused = client().get("/nowhere/%C3%A9 x"), client().post("/numbers")

    assert missing.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not Found",
        "instance": "/nowhere/%C3%A9%20x",
    }
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    assert missing.headers["content-type"] == refused.headers["content-type"] == MEDIA_TYPE


@pytest.mark.parametrize("route_class", [APIRoute, Handled])
def test_validation_errors_are_a_problem_with_the_same_list(route_class: Any) -> None:
    plain = TestClient(application())

    answer = client(route_class).get("/numbers", params={"number": "x"})

    assert (answer.status_code, answer.headers["content-type"]) == (422, MEDIA_TYPE)
    problem = answer.json()
    assert problem.pop("errors") == plain.get("/numbers", params={"number": "x"}).json()["detail"]
    assert problem == {
        "type": "urn:problem-type:request-validation-error",
        "title": "Request validation error",
        "status": 422,
        "detail": "The request does not fit what the operation accepts.",
        "instance": "/numbers",
    }
    bad_json = client().post("/body", content=b"{", headers={"content-type": "application/json"})
    assert bad_json.json()["errors"][0]["type"] == "json_invalid"


def test_a_long_list_of_errors_is_cut_as_without_the_option() -> None:
    body = ["x" * 1_000] * 1_000

    answer, plain = (each.post("/body", json=body) for each in (client(), TestClient(application())))

    assert answer.json()["errors"] == plain.json()["detail"]
    assert len(answer.json()["errors"]) == 100


def test_what_nobody_handles_is_a_problem_that_says_nothing() -> None:
    answer = client().get("/broken")

    assert (answer.status_code, answer.headers["content-type"]) == (500, MEDIA_TYPE)
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "instance": "/broken",
    }


def test_handlers_of_the_application_go_before() -> None:
    async def handle(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"own": type(error).__name__}, status_code=418)

    asked = client(exception_handlers={HTTPException: handle, 500: handle})

    assert asked.get("/raised/plain").json() == {"own": "HTTPException"}
    assert asked.get("/broken").json() == {"own": "ValueError"}
    assert asked.get("/numbers").headers["content-type"] == MEDIA_TYPE


def test_the_document_describes_the_problems() -> None:
    document = application(problem_details=True).openapi()

    refused = document["paths"]["/numbers"]["get"]["responses"]["422"]
    assert refused["content"] == {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ValidationProblem"}}}
    returned = document["paths"]["/returned"]["get"]["responses"]
    assert returned["404"]["content"][MEDIA_TYPE]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert returned["404"]["content"][MEDIA_TYPE]["examples"]["ItemNotFound"]["value"]["status"] == 404
    assert returned["403"]["content"][MEDIA_TYPE]["schema"] == {
        "allOf": [{"$ref": "#/components/schemas/Problem"}, {"$ref": "#/components/schemas/Balance"}]
    }
    assert set(document["components"]["schemas"]) == {"Balance", "Problem", "ValidationProblem", "ValidationError"}


def test_routes_run_natively() -> None:
    app = application(problem_details=True)
    assert {row.mode for row in app.explain() if row.path.startswith("/raised")} == {"native"}


def test_the_example_answers_what_its_page_shows() -> None:
    path = Path(__file__).parents[2] / "examples" / "beyond" / "problems.py"
    spec = importlib.util.spec_from_file_location("example_problems", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert TestClient(module.app).get("/orders/50").json() == {
        "type": "urn:problem-type:out-of-credit",
        "title": "There is not enough credit.",
        "status": 403,
        "detail": "Your balance does not suffice",
        "instance": "/orders/50",
    }


def test_without_the_option_nothing_is_another() -> None:
    answer = TestClient(application()).get("/raised/plain")
    assert (answer.headers["content-type"], answer.json()) == ("application/json", {"detail": "no"})


# Bodies that are too long.


class Reader:
    """A layer of the application's own that reads the body before anything else does."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await Request(scope, receive).body()
        await self.app(scope, receive, send)


def limited(place: str, **options: Any) -> FastAPI:
    """Return an application with a limit of ten bytes on itself, on a router, on its routes, or on itself and these."""
    limit: dict[str, Any] = {"max_body_size": 10}
    app = FastAPI(**options, **(limit if "application" in place else {}))
    router = APIRouter(**(limit if place == "router" else {}))
    route = limit if "route" in place.split() else {}

    @router.post("/model", **route)
    async def model(value: Balance) -> Balance:
        return value

    @router.post("/unread", **route)
    async def unread() -> int:
        return 1

    @router.post("/request", **route)
    async def request(request: Request) -> int:
        return len(await request.body())

    app.include_router(router)
    if place == "application and middleware":
        app.add_middleware(Reader)
    return app


PLACES = ("application", "application and route", "application and middleware", "router", "route")
LONG = b'{"balance": 123456789}'
TOO_LONG = {"type": "about:blank", "title": "Content Too Large", "status": 413, "detail": "Content Too Large"}


@pytest.mark.parametrize("is_announced", [True, False])
@pytest.mark.parametrize("path", ["/model", "/unread", "/request"])
@pytest.mark.parametrize("place", PLACES)
def test_bodies_that_are_too_long_are_refused_with_problem_details(place: str, path: str, is_announced: bool) -> None:
    def send(**options: Any) -> Any:
        content = LONG if is_announced else iter([LONG])
        return TestClient(limited(place, **options)).post(path, content=content)

    found, plain = send(problem_details=True), send()
    assert found.status_code == plain.status_code
    assert plain.headers["content-type"] != MEDIA_TYPE
    if plain.status_code == 413:
        assert found.headers["content-type"] == MEDIA_TYPE
        assert found.headers["content-length"] == str(len(found.content))
        assert found.json() == TOO_LONG | {"instance": path}
    else:
        assert path == "/unread" and not is_announced and found.content == plain.content


@pytest.mark.parametrize("place", [place for place in PLACES if place != "application and middleware"])
def test_bodies_within_the_limit_are_taken(place: str) -> None:
    client = TestClient(limited(place, problem_details=True))
    assert client.post("/request", content=b"1" * 10).json() == 10
    assert client.post("/request", content=iter([b"1"] * 10)).json() == 10


def test_phrases_are_those_of_the_present_standard() -> None:
    app = FastAPI(problem_details=True)

    @app.get("/{status}")
    async def fail(status: int) -> None:
        raise HTTPException(status)

    titles = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
    client = TestClient(app)
    assert {status: client.get(f"/{status}").json()["title"] for status in titles} == titles


def test_the_document_keeps_a_model_that_is_named_as_a_problem_is() -> None:
    app = FastAPI(problem_details=True)

    class Problem(BaseModel):
        mine: int

    @app.post("/problems", raises=[OutOfCredit])
    def write(problem: Problem) -> None: ...

    document = app.openapi()
    schemas = document["components"]["schemas"]
    operation = document["paths"]["/problems"]["post"]

    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert list(schemas["Problem"]["properties"]) == ["mine"]
    reference = operation["responses"]["403"]["content"][MEDIA_TYPE]["schema"]["allOf"][0]["$ref"]
    assert reference == "#/components/schemas/Problem2"
    assert "instance" in schemas["Problem2"]["properties"]


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for name, each in part.items():
            yield from [each] if name == "$ref" else references(each)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def test_the_document_has_each_schema_that_it_names() -> None:
    app = FastAPI(problem_details=True)
    called = APIRouter()

    @called.post("{$request.body#/url}", raises=[OutOfCredit])
    def call(number: int) -> None: ...

    by_hand = {"$ref": "#/components/schemas/HTTPValidationError"}

    @app.post("/orders", callbacks=called.routes, raises=[OutOfCredit])
    def order(number: int) -> None: ...

    @app.get("/old", responses={400: {"content": {"application/vnd.old+json": {"schema": by_hand}}}})
    def old(number: int) -> None: ...

    document = app.openapi()
    callback = document["paths"]["/orders"]["post"]["callbacks"]["call"]["{$request.body#/url}"]["post"]

    assert list(callback["responses"]["403"]["content"]) == [MEDIA_TYPE]
    assert list(callback["responses"]["422"]["content"]) == [MEDIA_TYPE]
    assert {name.rpartition("/")[2] for name in references(document)} == set(document["components"]["schemas"])


def test_instance_of_an_exception_is_kept() -> None:
    app = FastAPI(problem_details=True)

    @app.get("/orders")
    async def read() -> None:
        raise HTTPException(403, {"instance": "/accounts/1", "status": 200})

    answer = TestClient(app).get("/orders").json()
    assert answer == {"type": "about:blank", "title": "Forbidden", "status": 403, "instance": "/accounts/1"}
