"""The table of cases: an application, a request, the answer's status and the goal of each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from pydantic import TypeAdapter

from benches.cases import application, observed
from benches.cases.application import PRODUCTS, RECORDS, Account, Page
from benches.cases.exchange import ASGIApp, Request
from benches.goals import Flat, Goal, Kept, Times, Within

Builder = Callable[[ModuleType], ASGIApp]


@dataclass(frozen=True)
class Case:
    """One row: what is asked of which application, and what the answer may cost."""

    name: str
    what: str
    build: Builder
    request: Request
    goal: Goal | None
    status: int | None = 200
    fastapi: bool = True
    starlette: Builder | None = None
    alone: Callable[[], Any] | None = None
    apart: bool = False
    """Whether a package replaces names of `fastapi` for the whole process: each framework is in one of its own."""


def _observed(name: str, what: str, build: Builder) -> Case:
    goal = Kept(0.85, "json")
    return Case(f"touched: {name}", f"json under {what}", build, Request("/json"), goal, apart=True)


def _post(path: str, content_type: bytes, body: bytes) -> Request:
    return Request(path, method="POST", headers=((b"content-type", content_type),), body=body)


def _multipart(*parts: tuple[bytes, bytes]) -> bytes:
    lines = b"".join(
        b"--limit\r\ncontent-disposition: form-data; " + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts
    )
    return lines + b"--limit--\r\n"


_page = Page(total=len(PRODUCTS), items=PRODUCTS)
_page_json = TypeAdapter(Page).serializer.to_json
_accounts = TypeAdapter(list[Account])


def _orm_alone() -> bytes:
    return _accounts.serializer.to_json(_accounts.validator.validate_python(RECORDS, from_attributes=True))


_JSON = b"application/json"
_UPLOAD = _multipart(
    (b'name="file"; filename="file.txt"\r\ncontent-type: text/plain', b"x" * 1024),
    (b'name="title"', b"A title"),
    (b'name="pages"', b"12"),
)
_ITEMS = Request("/items/42", "q=bolt&limit=50&price=12.5&active=true", headers=((b"x-token", b"abc123"),))
_TOKEN = ((b"authorization", b"Bearer secret-token"),)
_ORIGIN = ((b"origin", b"https://example.com"),)

CASES = (
    Case(
        "json",
        'async def returning {"message": "Hello, World!"}',
        application.json,
        Request("/json"),
        Times(18),
        starlette=application.starlette_json,
    ),
    Case(
        "plaintext",
        "PlainTextResponse class, async def",
        application.plaintext,
        Request("/plaintext"),
        Times(14),
        starlette=application.starlette_plaintext,
    ),
    Case("items", "one path, four query parameters, one header, all typed", application.items, _ITEMS, Times(20)),
    Case(
        "deps",
        "three-level async dependency graph, shared node",
        application.deps,
        Request("/deps", "user_id=7"),
        Times(25),
    ),
    Case(
        "body",
        "POST of a model of four fields, the same model out",
        application.body,
        _post("/body", _JSON, b'{"name":"bolt","price":1.25,"quantity":12,"tags":["a","b"]}'),
        Times(12),
    ),
    Case(
        "invalid",
        "the same POST with two wrong fields: 422",
        application.body,
        _post("/body", _JSON, b'{"name":"bolt","price":"cheap","quantity":1.5,"tags":["a","b"]}'),
        Times(8),
        422,
    ),
    Case("sync", "def endpoint", application.sync, Request("/sync"), Times(5)),
    Case("sdeps", "def endpoint, three def dependencies", application.sdeps, Request("/sdeps"), Times(12)),
    Case("yield", "one async generator dependency", application.yields, Request("/yield"), Times(10)),
    Case("syield", "one sync generator dependency", application.sync_yields, Request("/syield"), Times(6)),
    Case(
        "auth",
        "OAuth2PasswordBearer and a user dependency",
        application.auth,
        Request("/me", headers=_TOKEN),
        Times(15),
    ),
    Case(
        "model",
        "50 nested models through a response model, 4.1 kB",
        application.model,
        Request("/model"),
        Within(1.3, "json"),
        alone=partial(_page_json, _page),
    ),
    Case("dict", "the same 4.1 kB as plain dicts, untyped", application.dicts, Request("/dict"), Times(60)),
    Case(
        "orm",
        "100 objects with attributes through list[Model]",
        application.orm,
        Request("/orm"),
        Within(1.3, "json"),
        alone=_orm_alone,
    ),
    Case(
        "form",
        "url-encoded form, three fields",
        application.form,
        _post("/form", b"application/x-www-form-urlencoded", b"username=alice&password=correct+horse&age=42"),
        Times(10),
    ),
    Case(
        "multipart",
        "1 kB file and two fields",
        application.multipart,
        _post("/multipart", b"multipart/form-data; boundary=limit", _UPLOAD),
        Times(3),
    ),
    Case(
        "http middleware",
        "three http middleware functions around json",
        application.http_middleware,
        Request("/json"),
        Times(10),
    ),
    Case(
        "cors",
        "CORSMiddleware around json, with an Origin",
        application.cors,
        Request("/json", headers=_ORIGIN),
        Times(8),
    ),
    Case("routes 10", "last of 10 routes", application.routes(10), Request("/resource9/a"), None),
    Case("routes 500", "last of 500 routes", application.routes(500), Request("/resource499/a"), Times(100)),
    Case("missing 500", "404 among 500 routes", application.routes(500), Request("/missing/a"), Times(100), 404),
    Case(
        "routes 10000",
        "last of 10,000 routes (FastAPI takes too long to declare them)",
        application.routes(10_000),
        Request("/resource9999/a"),
        Flat(1.25, "routes 10"),
        fastapi=False,
    ),
    Case(
        "websocket",
        "accept, echo of one text message, close",
        application.websocket,
        Request("/echo", websocket_messages=({"type": "websocket.receive", "text": "Hello, World!"},)),
        Times(3),
        None,
    ),
    Case("stream", "100 chunks of an async generator", application.stream, Request("/stream"), Times(3)),
    Case("events", "100 server-sent events", application.events, Request("/events"), Times(3)),
    Case(
        "touched: asgi",
        "json below one pure ASGI middleware",
        application.pure_middleware,
        Request("/json"),
        Times(8),
    ),
    Case("touched: limit", "json under max_body_size", application.limited, Request("/json"), Flat(1.3, "json")),
    Case(
        "touched: override",
        "json with an override of something else",
        application.override_of_another,
        Request("/json"),
        Flat(1.2, "json"),
    ),
    Case(
        "touched: own override",
        "deps with an override of the node that is shared",
        application.override_of_its_own,
        Request("/deps", "user_id=7"),
        Flat(1.2, "deps"),
    ),
    Case(
        "touched: route class",
        "json in a route class that wraps its handler",
        application.route_class,
        Request("/json"),
        Times(5),
    ),
    Case(
        "touched: handler",
        "json with get_request_handler wrapped",
        application.wrapped_handler,
        Request("/json"),
        Times(5),
    ),
    Case(
        "touched: telemetry",
        "json with FastAPI's own telemetry, spans and metrics",
        application.telemetry,
        Request("/json"),
        Kept(0.85, "json"),
    ),
    _observed("sentry", "Sentry, which traces no request", observed.sentry(0.0)),
    _observed("sentry tracing", "Sentry, which traces each request", observed.sentry(1.0)),
    _observed("logfire", "Logfire", observed.logfire),
    _observed("opentelemetry", "opentelemetry-instrumentation, which samples no request", observed.opentelemetry),
    _observed("prometheus", "prometheus-fastapi-instrumentator", observed.prometheus),
    _observed("slowapi", "a limit of slowapi", observed.slowapi),
)
