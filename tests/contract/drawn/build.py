"""From a description to an application, with the framework that is named."""

import asyncio
import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from .descriptions import Application, Dependence, Function, Operation, Parameter, Special
from .middleware import add
from .results import RESULTS, VARIABLE, CustomError, in_loop, show, uploads_of
from .sockets import act
from .streams import STREAMS
from .types import ITERABLES, REQUIRED, type_named


@dataclass
class Built:
    """A built application, and the log that all its code writes to."""

    app: Any
    log: list[Any]
    operations: Any


class Builder:
    """Builds one description with one framework."""

    def __init__(self, framework: str, description: Application, **application_options: Any) -> None:
        self.name = framework
        self.framework = importlib.import_module(framework)
        self.sse = importlib.import_module(f"{framework}.sse")
        self.security = importlib.import_module(f"{framework}.security")
        self.exceptions = importlib.import_module(f"{framework}.exceptions")
        self.description = description
        self.application_options = application_options
        self.log: list[Any] = []
        self.calls: dict[str, int] = {}
        self.functions: dict[int, Callable[..., Any]] = {}
        self.uploads: list[Any] = []

    def build(self, route_class: Any = None) -> Built:
        fastapi, description = self.framework, self.description
        app = fastapi.FastAPI(
            exception_handlers=dict(self._handlers()), **self.application_options, **self._options(description.options)
        )
        if route_class is not None:
            app.router.route_class = route_class
        routers = [
            fastapi.APIRouter(**({"route_class": route_class} if route_class else {}), **options)
            for options in self._routers_options()
        ]
        target = routers[-1] if routers else app
        for operation in description.operations:
            self._add(target, operation)
        dependencies = [fastapi.Depends(self._dependency(number)) for number in description.router_dependencies]
        for outer, inner, prefix in zip([app, *routers], routers, description.prefixes, strict=False):
            told = {"dependencies": dependencies, **self._options(description.include_options)} if outer is app else {}
            outer.include_router(inner, prefix=prefix, **told)
        for overridden, instead in description.overrides:
            app.dependency_overrides[self._dependency(overridden)] = self._dependency(instead)
        for kind in description.middleware:
            add(app, kind)
        served = app
        if description.mounted:
            served = fastapi.FastAPI()
            served.mount("/mounted", app)
        return Built(served, self.log, app)

    def _routers_options(self) -> list[dict[str, Any]]:
        count = len(self.description.prefixes)
        return [{}] * (count - 1) + [self._options(self.description.router_options)] * bool(count)

    def _options(self, options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
        """The options with types and response classes in the place of their names."""
        named = dict(options)
        if named.get("response_model"):
            named["response_model"] = type_named(named["response_model"], self.name)
        if named.get("response_class") == "events":
            named["response_class"] = self.sse.EventSourceResponse
        return named

    def _add(self, target: Any, operation: Operation) -> None:
        depends = self.framework.Depends
        dependencies = [depends(self._dependency(number)) for number in operation.dependencies]
        endpoint, options = self._function(operation.endpoint), self._options(operation.options)
        if operation.method == "WEBSOCKET":
            target.add_api_websocket_route(operation.path, endpoint, dependencies=dependencies, **options)
        else:
            target.add_api_route(
                operation.path, endpoint, methods=[operation.method], dependencies=dependencies, **options
            )

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
        if function.yields is None:
            return inspect.Signature(parameters)
        iterable, _, name = function.yields.partition(" of ")
        of = ITERABLES["sync" if function.kind == "sync stream" else "async"][iterable]
        return inspect.Signature(parameters, return_annotation=of[type_named(name, self.name)])

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
                "socket": fastapi.WebSocket,
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
            return type_named(parameter.type, self.name)
        marker = getattr(fastapi, parameter.source.capitalize())
        return Annotated[type_named(parameter.type, self.name), marker(**dict(parameter.options))]

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
        self.uploads = uploads_of(values) or self.uploads
        self._note(function, ("call", function.name, shown, in_loop(), VARIABLE.get()))
        VARIABLE.set(function.name)
        self.calls[function.name] = number = self.calls.get(function.name, 0) + 1
        for parameter in function.parameters:
            if isinstance(parameter, Special):
                self._use(function, parameter.kind, values[parameter.name])
        self._maybe_raise(function.does, function.name)
        return self._result(function, shown, number)

    def _note(self, function: Function, entry: tuple[Any, ...]) -> None:
        # With FastAPI, too, the start of a response may be inside middleware when a thread begins its stream.
        if function.kind == "sync stream":
            self.log.insert(0, entry)
        else:
            self.log.append(entry)

    def _use(self, function: Function, kind: str, value: Any) -> None:
        if kind in ("request", "connection", "socket"):
            keys = sorted(key for key in value.scope if key != "ferroapi")
            self._note(function, ("scope", keys, value.path_params, str(value.url), value.scope["root_path"]))
            route = value.scope["route"]
            self._note(function, ("route", getattr(route, "path", None), value.scope["endpoint"].__name__))
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
        self.log.append(("background", function.name, which, in_loop(), self._closed_uploads()))
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

    def _closed_uploads(self) -> list[bool]:
        return [upload.file.closed for upload in self.uploads]

    def _result(self, function: Function, shown: dict[str, Any], number: int) -> Any:
        if function.kind.endswith(("stream", "socket")):
            return None
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
                self.log.append(("closed", function.name, in_loop(), VARIABLE.get(), self._closed_uploads()))
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
                self.log.append(("closed", function.name, in_loop(), VARIABLE.get(), self._closed_uploads()))
            self._after(function)

        return call

    # When an unfinished stream is closed is up to the garbage collector, so only the end of a whole one is logged. How
    # far threads and the producers of events, which are tasks of their own, run ahead of what is sent is not decided.

    def _stream(self, function: Function) -> Callable[..., Any]:
        async def call(**values: Any) -> Any:
            self._begin(function, values)
            for item in STREAMS[function.result](self.sse):
                if "suspends" in function.does:
                    await asyncio.sleep(0)
                yield item
            if function.kind == "stream":
                self.log.append(("yielded", function.name, in_loop(), VARIABLE.get(), self._closed_uploads()))
            self._after(function)

        return call

    _event_stream = _stream

    def _sync_stream(self, function: Function) -> Callable[..., Any]:
        def call(**values: Any) -> Any:
            self._begin(function, values)
            yield from STREAMS[function.result](self.sse)
            self._after(function)

        return call

    def _socket(self, function: Function) -> Callable[..., Any]:
        async def call(**values: Any) -> Any:
            self._begin(function, values)
            for action in function.result.split("; "):
                done = await act(self.framework, values["the_socket"], action)
                self.log.append((action, str(done)))
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
