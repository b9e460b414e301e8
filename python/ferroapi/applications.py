"""`FastAPI`: the application, its settings, its documentation routes and its middleware stack.

The server calls it first. What a route is and how it answers is in `routing`.
"""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from sys import modules, version_info
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import deprecated

from ferroapi import _core, routing
from ferroapi._beyond import problem_details
from ferroapi._body_limit import AppBodyLimitMiddleware
from ferroapi._engine import stand_ins
from ferroapi._foreign import refuse_foreign, refuse_foreign_exceptions, warn_of_tracers
from ferroapi._imported import imported_names
from ferroapi._operations import ForwardedOperations
from ferroapi._option_defaults import (
    APPLICATION_DEFAULTS,
    APPLICATION_INCLUDE_DEFAULTS,
    APPLICATION_ROUTE_DEFAULTS,
    ROUTER_DEFAULTS,
)
from ferroapi._options import ApplicationOptions, ApplicationRouteOptions, IncludeOptions
from ferroapi._routing.explanation import Explanation, explain
from ferroapi._signature import expands, warn_deprecated
from ferroapi._stack import StackPlan, make_entrance, plan_stack
from ferroapi._witness import install as watch_names
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
    websocket_request_validation_exception_handler,
)
from ferroapi.exceptions import FastAPIError, RequestValidationError, WebSocketRequestValidationError
from ferroapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from ferroapi.openapi.docs import (
    _root_path,
    get_redoc_html,
    get_swagger_ui_html,
    get_swagger_ui_oauth2_redirect_html,
)
from ferroapi.openapi.utils import get_openapi
from ferroapi.params import Depends
from ferroapi.telemetry._api import SCOPE_KEY, observes_without_import
from ferroapi.telemetry._asgi import ExceptionTelemetryMiddleware, NativeTelemetry, _legacy_otel
from ferroapi.types import DecoratedCallable

if TYPE_CHECKING:
    from ferroapi.telemetry import TelemetryConfig

AppType = TypeVar("AppType", bound="FastAPI")
_Resolved = TypeVar("_Resolved")

_WHEN_ENTERED = ("startup", "first_use")
_KEPT_OPTIONS = (
    "max_body_size",
    "debug",
    "title",
    "summary",
    "description",
    "version",
    "terms_of_service",
    "contact",
    "license_info",
    "openapi_url",
    "openapi_tags",
    "root_path",
    "root_path_in_servers",
    "docs_url",
    "redoc_url",
    "swagger_ui_oauth2_redirect_url",
    "swagger_ui_init_oauth",
    "swagger_ui_parameters",
    "separate_input_output_schemas",
    "openapi_external_docs",
    "lifespan_dependencies",
)
"""Options that become attributes exactly as they were given."""

_ROUTER_OPTIONS = (
    *(name for name in ROUTER_DEFAULTS if name in APPLICATION_DEFAULTS),
    *("cancel_on_disconnect", "wait_for_first_item", "raises"),
)
"""Options that the application's own router takes."""

_READ_BY_ENTRANCE = frozenset(
    {"middleware_stack", "router", "root_path", "max_body_size", "_telemetry", "_native_telemetry"}
)
"""Attributes that say what stands between the server and the router: assigning one closes the entrance."""

_SHORTCUTS = ("_entrance", "_observed_entrance", "_open_chain")
"""Attributes that say how a request gets to the router, once a request has asked."""

_DOCUMENT_SETTINGS = (
    "title",
    "version",
    "openapi_version",
    "summary",
    "description",
    "terms_of_service",
    "contact",
    "license_info",
    "servers",
    "separate_input_output_schemas",
)
"""Attributes that `get_openapi` takes under the same name."""

_ROOT_PATH_DEPRECATED = (
    "The `root_path` parameter is deprecated. Configure the server's root path instead, "
    "for example with `fastapi run --root-path /api/v1`."
)


def _telemetry_config(given: "TelemetryConfig | None") -> "TelemetryConfig":
    config: TelemetryConfig = {
        "tracer_provider": None,
        "meter_provider": None,
        "logger_provider": None,
        "tracing": True,
        "metrics": True,
        "logs": True,
        "operation_spans": True,
        "auto_configure": os.getenv("FASTAPI_OTEL_AUTO_CONFIGURE", "").lower() == "true",
        "exclude": None,
    }
    return {**config, **(given or {})}


class FastAPI(ForwardedOperations, Starlette):
    """An application: *path operations* and what surrounds them, as one ASGI callable."""

    max_body_size: int | None
    title: str
    summary: str | None
    description: str
    version: str
    terms_of_service: str | None
    contact: dict[str, Any] | None
    license_info: dict[str, Any] | None
    openapi_url: str | None
    openapi_tags: list[dict[str, Any]] | None
    root_path: str
    root_path_in_servers: bool
    docs_url: str | None
    redoc_url: str | None
    swagger_ui_oauth2_redirect_url: str | None
    swagger_ui_init_oauth: dict[str, Any] | None
    swagger_ui_parameters: dict[str, Any] | None
    separate_input_output_schemas: bool
    openapi_external_docs: dict[str, Any] | None
    problem_details: bool = False
    docs_assets: Literal["bundled", "cdn"] | None = None
    _stack_plan: StackPlan = StackPlan()
    """How a request gets through the stack: nothing is decided until the first request looks at it."""
    lifespan_dependencies: Literal["startup", "first_use"]
    router: routing.APIRouter
    webhooks: routing.APIRouter
    dependency_overrides: dict[Callable[..., Any], Callable[..., Any]]
    exception_handlers: dict[Any, Callable[[Request, Any], Response | Awaitable[Response]]]

    @expands(ApplicationOptions, APPLICATION_DEFAULTS)
    def __init__(self, **options: Unpack[ApplicationOptions]) -> None:
        """Make an application with these options.

        Raises:
            FastAPIError: an option that FastAPI has not has a value that it cannot have.
        """
        if version_info >= (3, 13):
            # An instance keeps its attributes beside its dict there, and nobody is told when they are set.
            object.__setattr__(self, "__dict__", vars(self))
        settings: dict[str, Any] = {**APPLICATION_DEFAULTS, **ApplicationOptions(**options)}
        warn_of_tracers()
        for name in _KEPT_OPTIONS:
            setattr(self, name, settings[name])
        if self.lifespan_dependencies not in _WHEN_ENTERED:
            raise FastAPIError(
                f'lifespan_dependencies must be "startup" or "first_use", not {self.lifespan_dependencies!r}'
            )
        self.servers = settings["servers"] or []
        self.openapi_version = "3.1.0"
        self.openapi_schema: dict[str, Any] | None = None
        self._openapi_routes_version: int | None = None
        if self.openapi_url:
            assert self.title, "A title must be provided for OpenAPI, e.g.: 'My API'"
            assert self.version, "A version must be provided for OpenAPI, e.g.: '2.1.0'"
        refuse_foreign(settings["webhooks"])
        self.webhooks = settings["webhooks"] or routing.APIRouter()
        if self.root_path:
            warn_deprecated(_ROOT_PATH_DEPRECATED)
        self.state = State()
        self.dependency_overrides = {}
        self.router = routing.APIRouter(
            dependency_overrides_provider=self, **{name: settings[name] for name in _ROUTER_OPTIONS if name in settings}
        )
        self.exception_handlers = dict(settings["exception_handlers"] or {})
        refuse_foreign_exceptions(*self.exception_handlers)
        if settings.get("problem_details"):
            self.problem_details = True
            problem_details.add_handlers(self.exception_handlers)
        if settings.get("docs_assets"):
            self.docs_assets = settings["docs_assets"]
        # As they are called in this module now.
        defaults: dict[Any, Any] = {
            HTTPException: http_exception_handler,
            RequestValidationError: request_validation_exception_handler,
            WebSocketRequestValidationError: websocket_request_validation_exception_handler,
        }
        for exception, handler in defaults.items():
            self.exception_handlers.setdefault(exception, handler)
        self._telemetry = _telemetry_config(settings["telemetry"])
        self._native_telemetry = NativeTelemetry(self._telemetry)
        self.user_middleware = list(settings["middleware"] or [])
        self.middleware_stack: ASGIApp | None = None
        self._entrance: _core.Entrance | None = None
        self._observed_entrance: _core.Entrance | None = None
        self._open_chain: stand_ins.Application | None = None
        self._otel_found: tuple[StackPlan, bool] | None = None
        self.setup()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _READ_BY_ENTRANCE:
            self._adopt(self._stack_plan.ended())

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has: nothing that was found out of this application's own stack."""
        kept = self.__dict__ | dict.fromkeys((*_SHORTCUTS, "_otel_found"))
        kept["_native_telemetry"] = NativeTelemetry(self._telemetry)
        kept.pop("_stack_plan", None)
        return kept

    # The stack.

    def build_middleware_stack(self) -> ASGIApp:
        """Wrap the router into the middleware, outermost first: errors, limits, the user's, exceptions."""
        handlers = dict(self.exception_handlers)
        error_handler = None
        for key in list(handlers):
            if key in (500, Exception):
                error_handler = handlers.pop(key)
        stack: list[Any] = [
            Middleware(ServerErrorMiddleware, handler=error_handler, debug=self.debug),
            Middleware(ExceptionTelemetryMiddleware),
            Middleware(AppBodyLimitMiddleware, max_body_size=self.max_body_size),
            *self.user_middleware,
            Middleware(ExceptionMiddleware, handlers=handlers, debug=self.debug),
            # Innermost, so that files close and stacks unwind in the context of the request's own task.
            Middleware(AsyncExitStackMiddleware),
        ]
        app: ASGIApp = self.router
        for cls, args, kwargs in reversed(stack):
            app = cls(app, *args, **kwargs)
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan."""
        rest = (entrance := self._entrance) is not None and entrance.serve(scope, receive, send)
        if rest is True:
            return
        if rest is not False:
            await rest
        elif (
            (layers := self._open_chain) is not None
            and not self._stack_plan.layers.replaced
            and scope["type"] == "http"
            and not ("opentelemetry" in modules and self._is_observed(scope))
        ):
            await layers(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    def _serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve what does not pass the entrance: the first request, and all that something stands before."""
        if self.root_path:
            scope["root_path"] = self.root_path
        if scope["type"] == "lifespan":
            return self._serve_lifespan(scope, receive, send)
        if scope["type"] in ("http", "websocket") and self._is_observed(scope):
            return self._serve_observed(scope, receive, send)
        return self._serve_stack(scope, receive, send)

    async def _serve_stack(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection natively, or else by the middleware stack."""
        entrance = self._observed_entrance
        rest: Awaitable[None] | bool = entrance is not None and entrance.serve(scope, receive, send)
        if rest is False:
            rest = self._begin(scope, receive, send)
        if rest is False:
            await super().__call__(scope, receive, send)
        elif rest is not True:
            await rest

    def _begin(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None] | bool:
        """Run a request natively to where it first waits, as an entrance does; False if the stack has to as it is.

        An exception is handed to the middleware, which meets it where it would have met it.
        """
        plan = self._planned()
        is_open = not (self.root_path or observes_without_import(self._telemetry))
        if plan.router is None:
            if plan.chain is None or scope["type"] != "http":
                return False
            if is_open:
                self._keep("_open_chain", plan.chain, plan)
            return plan.chain(scope, receive, send)
        if (entrance := self._observed_entrance) is not None and entrance.is_current:
            # It has been asked.
            return False
        if is_open and SCOPE_KEY not in scope:
            self._keep("_entrance", make_entrance(self, plan.router, plan.layers, is_inner=False), plan)
        entrance = make_entrance(self, plan.router, plan.layers, is_inner=True)
        self._keep("_observed_entrance", entrance, plan)
        return entrance is not None and entrance.serve(scope, receive, send)

    def _planned(self) -> StackPlan:
        """Return how a request gets through the stack that is there now: nothing is decided before it is built."""
        stack, plan = self.middleware_stack, self._stack_plan
        if stack is not plan.stack or plan.layers.replaced:
            if stack is None:
                return StackPlan()
            plan = plan_stack(self, stack, super().__call__)
            self._adopt(plan)
        return plan

    def _adopt(self, plan: StackPlan) -> None:
        """Use a plan from now on, and forget the shortcuts of the last one."""
        # Not by assignment: a subclass may have a `__setattr__` of its own.
        own = vars(self)
        own["_stack_plan"] = plan
        own |= dict.fromkeys(_SHORTCUTS)

    def _keep(self, name: str, shortcut: Any, plan: StackPlan) -> None:
        """Keep a shortcut while the plan is in use, which another thread may have ended since."""
        own = vars(self)
        own[name] = shortcut
        if self._stack_plan is not plan:
            own[name] = None

    def _is_observed(self, scope: Scope) -> bool:
        """Tell whether this application is the one that reports a connection to telemetry."""
        if "fastapi.telemetry" in scope:
            return False
        found, plan = self._otel_found, self._stack_plan
        if found is None or found[0] is not plan or not found[1] or plan.stack is not self.middleware_stack:
            return self._native_telemetry.enabled()
        # Opentelemetry's own instrumentation records it. Whom the application excludes itself is another matter.
        is_left_to_otel = self._native_telemetry.config.get("exclude") is None and not plan.layers.replaced
        return not is_left_to_otel and self._native_telemetry.enabled()

    def _serve_lifespan(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        from ferroapi.telemetry._runtime import lifespan

        app: ASGIApp = super().__call__
        # Loaded by the first dependency of the scope "lifespan" that was declared.
        if (lifespan_scope := modules.get("ferroapi._beyond.lifespan_scope")) is not None:
            app = lifespan_scope.with_values(self, app)
        return lifespan(config=self._telemetry, app=app, scope=scope, receive=receive, send=send)

    def _has_legacy_otel(self) -> bool:
        """Tell whether opentelemetry's own instrumentation is in the stack; looked up again where that has changed."""
        found, plan = self._otel_found, self._planned()
        if found is None or found[0] is not plan:
            found = vars(self)["_otel_found"] = plan, _legacy_otel(plan.stack)
        return found[1]

    def _serve_observed(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        scope["app"] = self
        telemetry, legacy_otel = self._native_telemetry, self._has_legacy_otel()
        if legacy_otel and telemetry.config.get("exclude") is None:
            return self._serve_stack(scope, receive, send)
        return telemetry(app=self._serve_stack, scope=scope, receive=receive, send=send, legacy_otel=legacy_otel)

    def explain(self) -> list[Explanation]:
        """Return a row for each middleware and each route: its name or path, and whether it runs natively or why not.

        Path operations are compiled by this, as by their first request.
        """
        return [*self._explain_middleware(), *explain(self.router)]

    def _explain_middleware(self) -> Iterator[Explanation]:
        for name, reason in stand_ins.middleware.explain(each.cls for each in self.user_middleware):
            reason = reason if self.max_body_size is None else "the body size is limited"
            yield Explanation(name, (), "python" if reason else "native", reason)

    @overload
    def resolve(self, function: type[_Resolved]) -> AbstractAsyncContextManager[_Resolved]: ...
    @overload
    def resolve(
        self,
        function: Callable[..., AsyncGenerator[_Resolved, Any]]
        | Callable[..., Generator[_Resolved, Any, Any]]
        | Callable[..., Coroutine[Any, Any, _Resolved]],
    ) -> AbstractAsyncContextManager[_Resolved]: ...
    # What is returned as an iterator may be a generator's item or, as a file, the value itself.
    @overload
    def resolve(
        self, function: Callable[..., AsyncIterator[Any]] | Callable[..., Iterator[Any]]
    ) -> AbstractAsyncContextManager[Any]: ...
    @overload
    def resolve(self, function: Callable[..., _Resolved]) -> AbstractAsyncContextManager[_Resolved]: ...
    def resolve(self, function: Callable[..., Any]) -> AbstractAsyncContextManager[Any]:
        """Return a context manager that calls a dependency outside of a request, with all that it depends on.

        Raises:
            FastAPIError: it is no function or class; a parameter's value is something that only a request has.
        """
        from ferroapi._beyond.resolve import resolve

        return resolve(self, function)

    # Documentation.

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made again only when routes were added since the last time."""
        routes_version = self.router._get_routes_version()
        if not self.openapi_schema or self._openapi_routes_version != routes_version:
            self.openapi_schema = get_openapi(
                routes=self.routes,
                webhooks=self.webhooks.routes,
                tags=self.openapi_tags,
                external_docs=self.openapi_external_docs,
                **{name: getattr(self, name) for name in _DOCUMENT_SETTINGS},
            )
            if self.problem_details:
                problem_details.describe(self.openapi_schema)
            self._openapi_routes_version = routes_version
        return self.openapi_schema

    def setup(self) -> None:
        """Add the routes of the document and of the two documentation pages, as far as they have a URL."""
        if not self.openapi_url:
            return

        # Functions of this method: their names are the routes' names, and those that tracers show.
        async def openapi(req: Request) -> JSONResponse:
            schema = self.openapi()
            root_path = _root_path(req)
            # What `openapi` was made to return may be no dictionary.
            if root_path and self.root_path_in_servers:
                servers = schema.get("servers", [])
                if root_path not in {each.get("url") for each in servers}:
                    schema = {**schema, "servers": [{"url": root_path}, *servers]}
            return JSONResponse(schema)

        async def swagger_ui_html(req: Request) -> HTMLResponse:
            root_path = _root_path(req)
            redirect_url = self.swagger_ui_oauth2_redirect_url
            return get_swagger_ui_html(
                openapi_url=f"{root_path}{self.openapi_url}",
                title=f"{self.title} - Swagger UI",
                oauth2_redirect_url=redirect_url and root_path + redirect_url,
                init_oauth=self.swagger_ui_init_oauth,
                swagger_ui_parameters=self.swagger_ui_parameters,
            )

        async def swagger_ui_redirect(req: Request) -> HTMLResponse:
            return get_swagger_ui_oauth2_redirect_html()

        async def redoc_html(req: Request) -> HTMLResponse:
            return get_redoc_html(openapi_url=f"{_root_path(req)}{self.openapi_url}", title=f"{self.title} - ReDoc")

        self.add_route(self.openapi_url, openapi, include_in_schema=False)
        if self.docs_assets:
            from ferroapi._beyond.documentation_pages import add_pages

            add_pages(self)
            return
        if self.docs_url:
            self.add_route(self.docs_url, swagger_ui_html, include_in_schema=False)
            if self.swagger_ui_oauth2_redirect_url:
                self.add_route(self.swagger_ui_oauth2_redirect_url, swagger_ui_redirect, include_in_schema=False)
        if self.redoc_url:
            self.add_route(self.redoc_url, redoc_html, include_in_schema=False)

    # What is declared; the router keeps it.

    @expands(ApplicationRouteOptions, APPLICATION_ROUTE_DEFAULTS, response_class=type[Response] | DefaultPlaceholder)
    def add_api_route(
        self, path: str, endpoint: Callable[..., Any], **options: Unpack[ApplicationRouteOptions]
    ) -> None:
        """Add a *path operation*; see `APIRouter.add_api_route`."""
        self.router.add_api_route(
            path, endpoint=endpoint, **(APPLICATION_ROUTE_DEFAULTS | ApplicationRouteOptions(**options))
        )

    @expands(ApplicationRouteOptions, APPLICATION_ROUTE_DEFAULTS)
    def api_route(
        self, path: str, **options: Unpack[ApplicationRouteOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Decorate a *path operation* that answers the given methods."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.router.add_api_route(path, func, **(APPLICATION_ROUTE_DEFAULTS | ApplicationRouteOptions(**options)))
            return func

        return decorator

    def add_api_websocket_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        name: str | None = None,
        *,
        dependencies: Sequence[Depends] | None = None,
    ) -> None:
        """Add a websocket endpoint; see `APIRouter.add_api_websocket_route`."""
        self.router.add_api_websocket_route(path, endpoint, name=name, dependencies=dependencies)

    def websocket_route(self, path: str, name: str | None = None) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Decorate a Starlette websocket endpoint: it receives the websocket and nothing else."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.router.add_websocket_route(path, func, name=name)
            return func

        return decorator

    @expands(IncludeOptions, APPLICATION_INCLUDE_DEFAULTS)
    def include_router(self, router: routing.APIRouter, **options: Unpack[IncludeOptions]) -> None:
        """Serve a router's routes, those added to it later as well; see `APIRouter.include_router`."""
        self.router.include_router(router, **(APPLICATION_INCLUDE_DEFAULTS | IncludeOptions(**options)))

    def frontend(
        self,
        path: str,
        *,
        directory: str | os.PathLike[str],
        fallback: Literal["auto", "index.html", "404.html"] | None = "auto",
        check_dir: bool | Literal["auto"] = "auto",
    ) -> None:
        """Serve a directory of built files for URLs that no other route answers; see `APIRouter.frontend`."""
        # Decided here, so that its warning names the caller's line.
        check_dir = routing._resolve_frontend_check_dir(directory=directory, check_dir=check_dir)
        self.router.frontend(path, directory=directory, fallback=fallback, check_dir=check_dir)

    @deprecated(routing.ON_EVENT_DEPRECATED)
    def on_event(self, event_type: str) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Decorate a function to call at `"startup"` or `"shutdown"`."""
        return self.router.on_event(event_type)

    def middleware(self, middleware_type: str) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Decorate a function `(request, call_next) -> response` to run around every HTTP request."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_middleware(BaseHTTPMiddleware, dispatch=func)
            return func

        return decorator

    def add_exception_handler(self, exc_class_or_status_code: int | type[Exception], handler: Any) -> None:
        """Add a function `(request, exception) -> response` for an exception class or a status code.

        Raises:
            FastAPIError: the class is one of the real `fastapi`; what ferroapi raises would never meet the handler.
        """
        refuse_foreign_exceptions(exc_class_or_status_code)
        super().add_exception_handler(exc_class_or_status_code, handler)

    def exception_handler(
        self, exc_class_or_status_code: int | type[Exception]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Decorate a function `(request, exception) -> response` for an exception class or a status code."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_exception_handler(exc_class_or_status_code, func)
            return func

        return decorator


_CALL = FastAPI.__call__


def _is_called_as_written(application: Any) -> bool:
    """Tell whether calling an application does no more than `FastAPI.__call__`, so that a server may go past it."""
    return getattr(type(application), "__call__", None) is _CALL  # noqa: B004 - the function that it is, not whether


watch_names()

if not TYPE_CHECKING:
    __getattr__ = imported_names(__name__)
