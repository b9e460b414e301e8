"""Applications and requests as data, and the way from data to a running application.

The same description is built with FastAPI and with ferroapi, as often as a test wants. `strategies` draws descriptions.
"""

import asyncio
import contextvars
import importlib
import inspect
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from urllib.parse import unquote
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

# Types that parameters and bodies have; both frameworks are given the same objects.


class Color(Enum):
    red = "red"
    blue = "blue"


class Item(BaseModel):
    name: str
    price: float = 1.5
    tags: list[str] = []
    owner: str | None = None


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    item_name: str = Field(alias="itemName")
    count: int = Field(0, validation_alias=AliasChoices("count", "n"), serialization_alias="theCount")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    number: int
    flag: bool = False


class Nested(BaseModel):
    item: Item
    others: dict[str, Item] = {}
    when: datetime | None = None


class Filters(BaseModel):
    """A parameter model: each field is a parameter of its own."""

    limit: int = Field(10, ge=0)
    order_by: str = "name"
    tags: list[str] = []


class StrictFilters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str
    page_size: int | None = Field(None, alias="pageSize")


@dataclass
class Point:
    x: int
    y: int = 2


class Record:
    """An object of an ORM: attributes instead of items."""

    name = "record"
    price = 2.25
    tags = ("a",)
    owner = None
    secret = "hidden"

    def __repr__(self) -> str:
        return "<Record>"


TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "decimal": Decimal,
    "uuid": UUID,
    "datetime": datetime,
    "date": date,
    "enum": Color,
    "literal": Literal["a", "b"],
    "int or none": int | None,
    "str or none": str | None,
    "int or str": int | str,
    "any": Any,
    "list of int": list[int],
    "list of str": list[str],
    "list of str or none": list[str] | None,
    "set of str": set[str],
    "tuple": tuple[int, str],
    "item": Item,
    "aliased": Aliased,
    "strict": Strict,
    "nested": Nested,
    "item or none": Item | None,
    "item or strict": Item | Strict,
    "list of items": list[Item],
    "dict": dict[str, Any],
    "dict of int": dict[str, int],
    "dict by int": dict[int, float],
    "bytes": bytes,
    "point": Point,
    "filters": Filters,
    "strict filters": StrictFilters,
}
SCALARS = [
    "str",
    "int",
    "float",
    "bool",
    "decimal",
    "uuid",
    "datetime",
    "date",
    "enum",
    "literal",
    "int or none",
    "str or none",
    "int or str",
    "any",
]
SEQUENCES = ["list of int", "list of str", "list of str or none", "set of str", "tuple"]
BODIES = [
    "item",
    "aliased",
    "strict",
    "nested",
    "item or none",
    "item or strict",
    "list of items",
    "dict",
    "dict of int",
    "dict by int",
    "bytes",
    "point",
]
PARAMETER_MODELS = ["filters", "strict filters"]

REQUIRED = "required"
"""Stands for the default of a parameter that has none."""


# What an application is.


@dataclass(frozen=True)
class Parameter:
    name: str
    source: str
    type: str
    default: Any = REQUIRED
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Dependence:
    """A parameter that is the result of the application's dependency of this number."""

    name: str
    number: int
    use_cache: bool = True
    scope: str | None = None
    scopes: tuple[str, ...] | None = None
    """OAuth scopes; a `Security` instead of a `Depends`."""


@dataclass(frozen=True)
class Special:
    """A parameter that is an object of the framework."""

    name: str
    kind: str


@dataclass(frozen=True)
class Function:
    """A dependency or an endpoint: how it is written, what it takes, what it does."""

    name: str
    kind: str
    parameters: tuple[Parameter | Dependence | Special, ...] = ()
    does: str = "returns"
    result: str = "values"


@dataclass(frozen=True)
class Operation:
    path: str
    method: str
    endpoint: Function
    options: tuple[tuple[str, Any], ...] = ()
    dependencies: tuple[int, ...] = ()


@dataclass(frozen=True)
class Application:
    operations: tuple[Operation, ...]
    dependencies: tuple[Function, ...] = ()
    prefixes: tuple[str, ...] = ()
    """The routers around the operations, outermost first."""
    router_dependencies: tuple[int, ...] = ()
    handlers: tuple[str, ...] = ()
    middleware: str | None = None
    overrides: tuple[tuple[int, int], ...] = ()
    """Dependencies that are overridden, each with what takes its place."""
    mounted: bool = False
    """Whether all of this is mounted into another application."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    chunks: tuple[bytes, ...] = (b"",)


@dataclass
class Outcome:
    """All that a server and the application's own code can see of one request."""

    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    raised: str | None = None
    log: list[Any] = field(default_factory=list)


class CustomError(Exception):
    pass


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


# From the description to the application.


@dataclass
class Built:
    """A built application, and the log that all its code writes to."""

    app: Any
    log: list[Any]
    operations: Any


class Builder:
    """Builds one description with one framework."""

    def __init__(self, framework: str, description: Application, **application_options: Any) -> None:
        self.framework = importlib.import_module(framework)
        self.security = importlib.import_module(f"{framework}.security")
        self.exceptions = importlib.import_module(f"{framework}.exceptions")
        self.description = description
        self.application_options = application_options
        self.log: list[Any] = []
        self.calls: dict[str, int] = {}
        self.functions: dict[int, Callable[..., Any]] = {}

    def build(self, route_class: Any = None) -> Built:
        fastapi, description = self.framework, self.description
        app = fastapi.FastAPI(exception_handlers=dict(self._handlers()), **self.application_options)
        if route_class is not None:
            app.router.route_class = route_class
        routers = [
            fastapi.APIRouter(**({"route_class": route_class} if route_class else {})) for _ in description.prefixes
        ]
        target = routers[-1] if routers else app
        for operation in description.operations:
            options = {
                key: TYPES[value] if key == "response_model" and value else value for key, value in operation.options
            }
            target.add_api_route(
                operation.path,
                self._function(operation.endpoint),
                methods=[operation.method],
                dependencies=[fastapi.Depends(self._dependency(number)) for number in operation.dependencies],
                **options,
            )
        dependencies = [fastapi.Depends(self._dependency(number)) for number in description.router_dependencies]
        for outer, inner, prefix in zip([app, *routers], routers, description.prefixes, strict=False):
            outer.include_router(inner, prefix=prefix, dependencies=dependencies if outer is app else None)
        for overridden, instead in description.overrides:
            app.dependency_overrides[self._dependency(overridden)] = self._dependency(instead)
        if description.middleware == "asgi":
            app.add_middleware(PassThrough)
        elif description.middleware == "http":
            app.middleware("http")(pass_on)
        served = app
        if description.mounted:
            served = fastapi.FastAPI()
            served.mount("/mounted", app)
        return Built(served, self.log, app)

    def _handlers(self) -> Iterator[tuple[Any, Any]]:
        def handler(status: int) -> Callable[..., Any]:
            async def handle(request: Any, error: Any) -> Response:
                self.log.append(("handler", status, type(error).__name__, str(error)))
                return PlainTextResponse(f"handled {type(error).__name__}", status)

            return handle

        def sync_handler(request: Any, error: Any) -> Response:
            self.log.append(("sync handler", type(error).__name__, str(error), in_loop()))
            return JSONResponse({"handled": str(error)}, 409)

        async def validation(request: Any, error: Any) -> Response:
            self.log.append(("validation", repr(error.body), request.url.path, dict(request.path_params)))
            return JSONResponse({"errors": repr(error.errors())}, 400)

        kinds = {
            "custom": (CustomError, sync_handler),
            "value": (ValueError, handler(408)),
            "http": (self.exceptions.HTTPException, handler(407)),
            "status 404": (404, handler(404)),
            "validation": (self.exceptions.RequestValidationError, validation),
            "any": (Exception, handler(500)),
        }
        for name in self.description.handlers:
            yield kinds[name]

    def _dependency(self, number: int) -> Callable[..., Any]:
        if number not in self.functions:
            self.functions[number] = self._function(self.description.dependencies[number])
        return self.functions[number]

    # Signatures.

    def _signature(self, function: Function) -> inspect.Signature:
        parameters = [self._parameter(each) for each in function.parameters]
        return inspect.Signature(parameters)

    def _parameter(self, parameter: Parameter | Dependence | Special) -> inspect.Parameter:
        annotation, default = self._annotation(parameter), inspect.Parameter.empty
        if isinstance(parameter, Parameter) and parameter.default != REQUIRED:
            default = parameter.default
        return inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    def _annotation(self, parameter: Parameter | Dependence | Special) -> Any:
        fastapi = self.framework
        if isinstance(parameter, Special):
            return {
                "request": fastapi.Request,
                "connection": fastapi.requests.HTTPConnection,
                "response": fastapi.Response,
                "background": fastapi.BackgroundTasks,
                "scopes": self.security.SecurityScopes,
            }[parameter.kind]
        if isinstance(parameter, Dependence):
            call = self._dependency(parameter.number)
            if parameter.scopes is not None:
                return Annotated[
                    Any, fastapi.Security(call, scopes=list(parameter.scopes), use_cache=parameter.use_cache)
                ]
            options = {"scope": parameter.scope} if parameter.scope else {}
            return Annotated[Any, fastapi.Depends(call, use_cache=parameter.use_cache, **options)]
        if parameter.source == "bare":
            return TYPES[parameter.type]
        marker = getattr(fastapi, parameter.source.capitalize())
        return Annotated[TYPES[parameter.type], marker(**dict(parameter.options))]

    # Functions.

    def _function(self, function: Function) -> Callable[..., Any]:
        if function.kind == "scheme":
            return self._scheme(function)
        made: Any = getattr(self, f"_{function.kind.replace(' ', '_')}")(function)
        made.__name__ = made.__qualname__ = function.name
        made.__signature__ = self._signature(function)
        return made

    def _scheme(self, function: Function) -> Callable[..., Any]:
        security, optional = self.security, {"auto_error": function.does != "returns empty"}
        return {
            "bearer": lambda: security.HTTPBearer(**optional),
            "basic": lambda: security.HTTPBasic(**optional),
            "key": lambda: security.APIKeyHeader(name="x-key", **optional),
            "key cookie": lambda: security.APIKeyCookie(name="session", **optional),
            "key query": lambda: security.APIKeyQuery(name="key", **optional),
            "password": lambda: security.OAuth2PasswordBearer(tokenUrl="token", scopes={"read": "r"}, **optional),
        }[function.result]()

    def _begin(self, function: Function, values: dict[str, Any]) -> Any:
        """Log a call, use what the framework handed in, and return the call's result."""
        shown = {name: show(value) for name, value in values.items()}
        self.log.append(("call", function.name, shown, in_loop(), VARIABLE.get()))
        VARIABLE.set(function.name)
        self.calls[function.name] = number = self.calls.get(function.name, 0) + 1
        for parameter in function.parameters:
            if isinstance(parameter, Special):
                self._use(function, parameter.kind, values[parameter.name])
        self._maybe_raise(function.does, function.name)
        return self._result(function, shown, number)

    def _use(self, function: Function, kind: str, value: Any) -> None:
        if kind in ("request", "connection"):
            keys = sorted(key for key in value.scope if key != "ferroapi")
            self.log.append(("scope", keys, value.path_params, str(value.url), value.scope["root_path"]))
            self.log.append(("route", getattr(value.scope["route"], "path", None), value.scope["endpoint"].__name__))
        elif kind == "response":
            value.headers.append(f"x-{function.name}", "set")
            value.set_cookie(f"from-{function.name}", "1")
            if "status" in function.does:
                value.status_code = 202
        elif kind == "background":
            value.add_task(self._background, function, "first")
            value.add_task(self._sync_background, function, "second")

    async def _read(self, request: Any) -> None:
        """Read the body again, as code does that looks at the raw request."""
        try:
            self.log.append(("read", await request.body()))
            self.log.append(("read", await request.json()))
            self.log.append(("read", await request.form()))
        except Exception as error:
            self.log.append(("not read", type(error).__name__, str(error)))

    async def _background(self, function: Function, which: str) -> None:
        self.log.append(("background", function.name, which, in_loop()))
        if "background" in function.does:
            raise CustomError(f"background of {function.name}")

    def _sync_background(self, function: Function, which: str) -> None:
        self.log.append(("background", function.name, which, in_loop()))

    def _maybe_raise(self, does: str, name: str) -> None:
        if does == "raises http":
            raise self.framework.HTTPException(418, detail={"by": name}, headers={"x-by": name})
        if does == "raises value":
            raise ValueError(f"value error of {name}")
        if does == "raises custom":
            raise CustomError(f"custom error of {name}")
        if does == "raises validation":
            raise self.exceptions.RequestValidationError([{"loc": ("body",), "msg": name, "type": "mine"}])

    def _result(self, function: Function, shown: dict[str, Any], number: int) -> Any:
        return RESULTS[function.result](function, shown, number)

    def _async(self, function: Function) -> Callable[..., Any]:
        async def call(**values: Any) -> Any:
            if "suspends" in function.does:
                await asyncio.sleep(0)
            result = self._begin(function, values)
            if "reads" in function.does and "the_request" in values:
                await self._read(values["the_request"])
            return result

        return call

    def _sync(self, function: Function) -> Callable[..., Any]:
        def call(**values: Any) -> Any:
            return self._begin(function, values)

        return call

    def _class(self, function: Function) -> Callable[..., Any]:
        builder = self

        class Dependency:
            def __init__(self, **values: Any) -> None:
                self.result = builder._begin(function, values)

            def __repr__(self) -> str:
                return f"<{function.name} {show(self.result)}>"

        return Dependency

    def _async_callable(self, function: Function) -> Callable[..., Any]:
        call = self._async(function)

        class Callable_:
            async def __call__(self, **values: Any) -> Any:
                return await call(**values)

        return Callable_()  # type: ignore[return-value]

    def _async_generator(self, function: Function) -> Callable[..., Any]:
        async def call(**values: Any) -> Any:
            result = self._begin(function, values)
            try:
                yield result
            except BaseException as error:
                self._caught(function, error)
            finally:
                self.log.append(("closed", function.name, in_loop(), VARIABLE.get()))
            self._after(function)

        return call

    def _generator(self, function: Function) -> Callable[..., Any]:
        def call(**values: Any) -> Any:
            result = self._begin(function, values)
            try:
                yield result
            except BaseException as error:
                self._caught(function, error)
            finally:
                self.log.append(("closed", function.name, in_loop(), VARIABLE.get()))
            self._after(function)

        return call

    def _caught(self, function: Function, error: BaseException) -> None:
        self.log.append(("caught", function.name, type(error).__name__, str(error)))
        if function.does == "transforms":
            raise self.framework.HTTPException(451, detail=f"transformed by {function.name}")
        if function.does != "swallows":
            raise error

    def _after(self, function: Function) -> None:
        self._maybe_raise(function.does.removeprefix("after: "), f"the end of {function.name}")


def in_loop() -> str:
    return "loop" if threading.current_thread() is threading.main_thread() else "thread"


def show(value: Any) -> str:
    """A text for a value, the same in every framework and every run."""
    module = type(value).__module__
    if "fastapi" in module or "ferroapi" in module or module.startswith("starlette"):
        return type(value).__name__ + str(getattr(value, "scopes", "") or getattr(value, "credentials", ""))
    return f"{type(value).__name__}:{value!r}" if isinstance(value, int | float | str | bytes) else repr(value)


async def _stream() -> Any:
    yield b"one"
    yield b"two"


RESULTS: dict[str, Callable[[Function, dict[str, Any], int], Any]] = {
    "values": lambda function, shown, number: {"from": function.name, "call": number, "values": shown},
    "text": lambda function, shown, number: f"{function.name} {number}",
    "none": lambda function, shown, number: None,
    "number": lambda function, shown, number: 1.0,
    "nan": lambda function, shown, number: float("nan"),
    "item": lambda function, shown, number: Item(name="é\u2028", tags=["x"]),
    "items": lambda function, shown, number: [Item(name="one"), Item(name="two", price=3)],
    "item dict": lambda function, shown, number: {"name": "dict", "price": "2.5", "secret": 1},
    "aliased": lambda function, shown, number: Aliased(item_name="alias"),
    "bad item": lambda function, shown, number: {"price": "no number"},
    "record": lambda function, shown, number: Record(),
    "point": lambda function, shown, number: Point(1),
    "mixed": lambda function, shown, number: {
        1: Decimal("1.10"),
        "when": datetime(2024, 1, 2),
        "enum": Color.red,
        "set": {1},
        "item": Item(name="x"),
        None: b"b",
    },
    "json": lambda function, shown, number: JSONResponse({"own": True}, 203, {"x-own": "1"}),
    "plain": lambda function, shown, number: PlainTextResponse("plain", media_type="text/x-own"),
    "html": lambda function, shown, number: HTMLResponse("<p>"),
    "redirect": lambda function, shown, number: RedirectResponse("/elsewhere?é"),
    "empty": lambda function, shown, number: Response(status_code=204),
    "stream": lambda function, shown, number: StreamingResponse(_stream(), media_type="text/plain"),
    "unserializable": lambda function, shown, number: {"object": threading},
}


class PassThrough:
    """A middleware that does nothing, written as ASGI."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


async def pass_on(request: Any, call_next: Any) -> Any:
    """A middleware that does nothing, as a function."""
    return await call_next(request)


# Running.


def scope_of(request: Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(request.path),
        "raw_path": request.path.encode("ascii", "replace"),
        "query_string": request.query,
        "root_path": "",
        "headers": [(b"host", b"testserver"), *request.headers],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "state": {},
    }


async def run(built: Built, request: Request) -> Outcome:
    """Serve one request as a server does, and return all that can be seen of it."""
    outcome = Outcome(log=built.log)
    built.log.clear()
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": index + 1 < len(request.chunks)}
        for index, chunk in enumerate(request.chunks)
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            built.log.append("start")
            outcome.status = message["status"]
            outcome.headers = [(bytes(name), bytes(value)) for name, value in message["headers"]]
        else:
            built.log.append("body" + (" and more" if message.get("more_body") else ""))
            outcome.body += message.get("body", b"")

    try:
        await asyncio.create_task(built.app(scope_of(request), receive, send))
    except Exception as error:
        outcome.raised = f"{type(error).__name__}: {error}"
    outcome.log = list(built.log)
    return outcome
