"""Routers, routes, and the functions that other packages replace: each is called through this module's globals.

A request goes `APIRouter.app`, `APIRoute.handle`, `request_response`, `get_request_handler`'s app. The parts are in
`_routing` and `_engine`.
"""

import os
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from starlette import routing
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, compile_path, get_name
from starlette.routing import Mount as Mount
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from typing_extensions import deprecated as deprecated_function

from ferroapi import _core, params
from ferroapi._beyond.declared_errors import check_errors
from ferroapi._beyond.first_item import refuse_without_items
from ferroapi._beyond.router_layers import layers_of
from ferroapi._beyond.upload_stream import streamed_of
from ferroapi._body_limit import validate_max_body_size, wrap_app_with_body_limit
from ferroapi._compat import ModelField, Undefined, lenient_issubclass
from ferroapi._compat.starlette import is_async_callable
from ferroapi._engine.body import BodyRecipe, read_body
from ferroapi._engine.compile import PathOperation, WebSocketOperation
from ferroapi._engine.context import describing
from ferroapi._engine.disconnect import cancelled_on_disconnect
from ferroapi._engine.reference.handler import answer, exit_stack_of, serve_websocket
from ferroapi._engine.response import ResponseRecipe
from ferroapi._engine.response import run_endpoint_function as run_endpoint_function
from ferroapi._engine.response import serialize_response as serialize_response
from ferroapi._engine.session import request_response as request_response
from ferroapi._engine.session import websocket_session as websocket_session
from ferroapi._foreign import refuse_foreign, refuse_foreign_options
from ferroapi._form_limits import _FormLimits, _validate_form_limits
from ferroapi._imported import imported_names
from ferroapi._operations import PathOperations
from ferroapi._option_defaults import (
    ADD_ROUTE_DEFAULTS,
    INCLUDE_DEFAULTS,
    ROUTE_DEFAULTS,
    ROUTER_DEFAULTS,
    ROUTER_ROUTE_DEFAULTS,
)
from ferroapi._options import AddRouteOptions, IncludeOptions, RouteOptions, RouterOptions, RouterRouteOptions
from ferroapi._routing import include
from ferroapi._routing.changes import ObservedRoute, tell_observers
from ferroapi._routing.dispatch import Dispatch
from ferroapi._routing.entries import know
from ferroapi._routing.frontend import _FrontendRouteGroup, _join_frontend_paths, _normalize_frontend_path
from ferroapi._routing.frontend import _resolve_frontend_check_dir as _resolve_frontend_check_dir
from ferroapi._routing.include import RouteContext as RouteContext
from ferroapi._routing.include import _IncludedRouter as _IncludedRouter
from ferroapi._routing.include import _RouterIncludeContext, effective_path_and_name
from ferroapi._routing.include import iter_route_contexts as iter_route_contexts
from ferroapi._routing.inherit import SHARED_SETTINGS, inherit_all
from ferroapi._routing.lifespan import _merge_lifespan_context, resolve_lifespan
from ferroapi._routing.scope import _get_scope_effective_route_context
from ferroapi._routing.state import OWN_OPTIONS, RouteState, _build_dependant_with_parameterless_dependencies
from ferroapi._routing.views import _effective_route_context_var, _EffectiveAPIRouteContext, view_through
from ferroapi._routing.views import _EffectiveRouteContext as _EffectiveRouteContext
from ferroapi._signature import expands
from ferroapi.datastructures import Default, DefaultPlaceholder
from ferroapi.dependencies.models import Dependant, _is_coroutine_callable
from ferroapi.dependencies.utils import solve_dependencies as solve_dependencies
from ferroapi.exceptions import FastAPIError
from ferroapi.sse import _PING_INTERVAL as _PING_INTERVAL
from ferroapi.sse import EventSourceResponse
from ferroapi.telemetry._api import get_telemetry_data
from ferroapi.types import DecoratedCallable, IncEx
from ferroapi.utils import get_value_or_default

# Handlers. What is replaced in this module is replaced in `_engine.reference`, too, which serves requests then.


def get_request_handler(
    dependant: Dependant,
    body_field: ModelField | None = None,
    status_code: int | None = None,
    response_class: type[Response] | DefaultPlaceholder = Default(JSONResponse),
    response_field: ModelField | None = None,
    response_model_include: IncEx | None = None,
    response_model_exclude: IncEx | None = None,
    response_model_by_alias: bool = True,
    response_model_exclude_unset: bool = False,
    response_model_exclude_defaults: bool = False,
    response_model_exclude_none: bool = False,
    dependency_overrides_provider: Any | None = None,
    embed_body_fields: bool = False,
    strict_content_type: bool | DefaultPlaceholder = Default(True),
    stream_item_field: ModelField | None = None,
    is_json_stream: bool = False,
    form_limits: _FormLimits | None = None,
    *,
    wait_for_first_item: bool | None = None,
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Return the `Request -> Response` coroutine function of a path operation.

    Raises:
        RequestValidationError, HTTPException, ResponseValidationError: by that function.
    """
    assert dependant.call is not None, "dependant.call must be a function"
    is_form = body_field is not None and isinstance(body_field.field_info, params.Form)
    streamed = streamed_of(dependant, is_form=is_form) if body_field else None
    body_recipe = BodyRecipe(body_field, is_form, bool(strict_content_type), form_limits, streamed)
    rendering = response_class.value if isinstance(response_class, DefaultPlaceholder) else response_class
    recipe = ResponseRecipe(
        status_code=status_code,
        declared_class=response_class,
        response_class=rendering,
        field=response_field,
        stream_item_field=stream_item_field,
        serialization={
            "include": response_model_include,
            "exclude": response_model_exclude,
            "by_alias": response_model_by_alias,
            "exclude_unset": response_model_exclude_unset,
            "exclude_defaults": response_model_exclude_defaults,
            "exclude_none": response_model_exclude_none,
        },
        is_event_stream=lenient_issubclass(rendering, EventSourceResponse),
        waits_for_first_item=bool(wait_for_first_item),
    )
    operation = PathOperation(
        dependant, body_recipe, recipe, embed_body_fields, is_json_stream, dependency_overrides_provider
    )

    async def app(request: Request) -> Response:
        telemetry = get_telemetry_data()
        if telemetry is not None:
            telemetry.request = request
        file_stack = exit_stack_of(request.scope, "fastapi_middleware_astack")
        describe = describing(dependant, request)
        body = Undefined
        if body_recipe.field:
            body = await read_body(request, body_recipe, describe_endpoint=describe, file_stack=file_stack)
        if (plan := operation.current_plan(body)) is not None:
            response: Response = await _core.respond(plan, request, body, telemetry is not None)
            return response
        return await answer(operation, request, body, telemetry, describe)

    operation.mark(app)
    return app


def get_websocket_app(
    dependant: Dependant,
    dependency_overrides_provider: Any | None = None,
    embed_body_fields: bool = False,
) -> Callable[[WebSocket], Coroutine[Any, Any, Any]]:
    """Return the coroutine function that solves a websocket endpoint's dependencies and calls it.

    Raises:
        WebSocketRequestValidationError: by that function, when a parameter does not validate.
    """

    operation = WebSocketOperation(dependant, dependency_overrides_provider, embed_body_fields)

    async def app(websocket: WebSocket) -> None:
        if (telemetry := get_telemetry_data()) is not None:
            telemetry.websocket = websocket
        await serve_websocket(operation, websocket, telemetry)

    operation.mark(app)
    return app


# Routes.

_ROUTE_TYPES: dict[str, Any] = {
    "methods": set[str] | list[str] | None,
    "response_class": type[Response] | DefaultPlaceholder,
    "generate_unique_id_function": Callable[["APIRoute"], str] | DefaultPlaceholder,
    "strict_content_type": bool | DefaultPlaceholder,
}
"""Types that are wider where a router passes options on than where a user writes them."""


class APIWebSocketRoute(ObservedRoute, routing.WebSocketRoute):
    """A websocket endpoint with dependencies and validated parameters."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        name: str | None = None,
        dependencies: Sequence[params.Depends] | None = None,
        dependency_overrides_provider: Any | None = None,
    ) -> None:
        self.path = path
        self.endpoint = endpoint
        self.name = get_name(endpoint) if name is None else name
        self.dependencies = list(dependencies or [])
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.dependant, _, self._embed_body_fields = _build_dependant_with_parameterless_dependencies(
            path=self.path_format, call=endpoint, dependencies=self.dependencies
        )
        self.app = websocket_session(
            get_websocket_app(
                dependant=self.dependant,
                dependency_overrides_provider=dependency_overrides_provider,
                embed_body_fields=self._embed_body_fields,
            )
        )

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path, and name this route in the scope."""
        return _naming_route(self, super().matches(scope))


def _naming_route(route: BaseRoute, answer: tuple[Match, Scope]) -> tuple[Match, Scope]:
    match, child_scope = answer
    if match != Match.NONE:
        child_scope["route"] = route
    return match, child_scope


class APIRoute(RouteState, routing.Route):  # type: ignore[misc]  # A path operation always has methods.
    """A *path operation*: one path, its methods and the function that answers.

    Its attributes may be assigned to. Subclasses may override `get_route_handler`, `handle` and `matches`.
    """

    _is_assigned_at_once = True

    @expands(RouteOptions, ROUTE_DEFAULTS, **_ROUTE_TYPES)
    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Unpack[RouteOptions]) -> None:
        settings: dict[str, Any] = {**ROUTE_DEFAULTS, **RouteOptions(**options)}
        self.form_limits = _validate_form_limits(settings["form_limits"])
        self._declare(path, endpoint, settings)
        self._compile(settings["response_model"])
        self.app = self._build_app(self)

    def _build_app(self, state: RouteState) -> ASGIApp:
        """Wrap the handler of this route, or of a view on it, into an ASGI application under the body limit."""
        app = request_response(self.get_route_handler())
        if state.cancel_on_disconnect and _is_coroutine_callable(state.endpoint):
            app = cancelled_on_disconnect(app)
        return wrap_app_with_body_limit(app, state.max_body_size)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the `Request -> Response` coroutine function of this route, or of the view that is being built."""
        view = _effective_route_context_var.get()
        state: RouteState = view if view is not None and view.original_route is self else self
        return get_request_handler(
            dependant=state.dependant,
            body_field=state.body_field,
            status_code=state.status_code,
            response_class=state.response_class,
            response_field=state.response_field,
            response_model_include=state.response_model_include,
            response_model_exclude=state.response_model_exclude,
            response_model_by_alias=state.response_model_by_alias,
            response_model_exclude_unset=state.response_model_exclude_unset,
            response_model_exclude_defaults=state.response_model_exclude_defaults,
            response_model_exclude_none=state.response_model_exclude_none,
            dependency_overrides_provider=state.dependency_overrides_provider,
            embed_body_fields=state._embed_body_fields,
            strict_content_type=state.strict_content_type,
            form_limits=self.form_limits,
            stream_item_field=state.stream_item_field,
            is_json_stream=state.is_json_stream,
            # What may stand in the function's place knows FastAPI's parameters.
            **({"wait_for_first_item": True} if state.wait_for_first_item else {}),
        )

    def _view(self, scope: Scope) -> _EffectiveRouteContext | None:
        """Return the view on this route that the scope came through, if any."""
        view = _get_scope_effective_route_context(scope)
        return view if view is not None and view.original_route is self else None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path and the methods, of the view when matched through an include."""
        view = self._view(scope)
        return _naming_route(self, super().matches(scope) if view is None else view.matches(scope))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a matched request.

        Raises:
            HTTPException: 405 with `Allow` inside an application, for a method that is not this route's.
        """
        view = self._view(scope)
        if view is None:
            await super().handle(scope, receive, send)
        elif not view.methods or scope["method"] in view.methods:
            assert view.app is not None
            await view.app(scope, receive, send)
        else:
            headers = {"Allow": ", ".join(view.methods)}
            if "app" in scope:
                raise HTTPException(status_code=405, headers=headers)
            response = PlainTextResponse("Method Not Allowed", status_code=405, headers=headers)
            await response(scope, receive, send)


ROUTER_DEFAULTS["route_class"] = APIRoute
_DeclaredRoute = APIRoute  # Whatever is put in the place of that name later.


@view_through.register
def _view_api_route(route: APIRoute, include_context: _RouterIncludeContext) -> _EffectiveRouteContext:
    view = _EffectiveAPIRouteContext(route, include_context)
    if type(route).get_route_handler is not _DeclaredRoute.get_route_handler:
        # A handler made by user code may fail. It does so while the views are made, not in a request.
        _ = view.app
    return view


@view_through.register
def _view_api_websocket_route(
    route: APIWebSocketRoute, include_context: _RouterIncludeContext
) -> _EffectiveRouteContext:
    prefixed = APIWebSocketRoute(
        include_context.path_for(route),
        endpoint=route.endpoint,
        name=route.name,
        dependencies=[*include_context.dependencies, *route.dependencies],
        dependency_overrides_provider=include_context.dependency_overrides_provider,
    )
    return _EffectiveRouteContext(route, prefixed)


# The router.

_EVENT_TYPES = ("startup", "shutdown")

ON_EVENT_DEPRECATED = """
        on_event is deprecated, use lifespan event handlers instead.

        Read more about it in the
        [FastAPI docs for Lifespan Events](https://fastapi.tiangolo.com/advanced/events/).
        """


def _assert_prefix(prefix: str) -> None:
    assert prefix.startswith("/"), "A path prefix must start with '/'"
    assert not prefix.endswith("/"), "A path prefix must not end with '/', as the routes will start with '/'"


async def _run_handlers(handlers: Sequence[Callable[[], Any]]) -> None:
    for handler in handlers:
        if is_async_callable(handler):
            await handler()
        else:
            handler()


class APIRouter(PathOperations, Dispatch):
    """A group of *path operations*, to be included in an application or in another router."""

    prefix: str
    tags: list[str | Enum]
    dependencies: list[params.Depends]
    responses: dict[int | str, dict[str, Any]]
    callbacks: list[BaseRoute]
    on_startup: list[Callable[[], Any]]
    on_shutdown: list[Callable[[], Any]]
    deprecated: bool | None
    include_in_schema: bool
    dependency_overrides_provider: Any | None
    route_class: type[APIRoute]
    default_response_class: type[Response] | DefaultPlaceholder
    generate_unique_id_function: Callable[[APIRoute], str] | DefaultPlaceholder
    strict_content_type: bool | DefaultPlaceholder
    max_body_size: int | None
    cancel_on_disconnect: bool | None
    wait_for_first_item: bool | None
    raises: Sequence[type[HTTPException]]

    @expands(RouterOptions, ROUTER_DEFAULTS)
    def __init__(self, **options: Unpack[RouterOptions]) -> None:
        settings: dict[str, Any] = {**ROUTER_DEFAULTS, **RouterOptions(**options)}
        refuse_foreign_options(settings)
        size = settings["max_body_size"]
        validate_max_body_size(size)
        self.lifespan_context = resolve_lifespan(self, settings["lifespan"])
        self.layers = layers_of(settings)
        limit = Middleware(wrap_app_with_body_limit, max_body_size=size)
        super().__init__(
            routes=settings["routes"],
            redirect_slashes=settings["redirect_slashes"],
            default=settings["default"],
            lifespan=self.lifespan_context,
            middleware=None if size is None else [limit],
        )
        if self.layers is not None:
            # Where the router is served as an application.
            around = wrap_app_with_body_limit(partial(self.layers, self.app), size)
            self.middleware_stack = cast(Any, around)
        if settings["prefix"]:
            _assert_prefix(settings["prefix"])
        self.prefix = settings["prefix"]
        self.tags = settings["tags"] or []
        self.dependencies = list(settings["dependencies"] or [])
        self.responses = settings["responses"] or {}
        self.callbacks = settings["callbacks"] or []
        self.on_startup = list(settings["on_startup"] or [])
        self.on_shutdown = list(settings["on_shutdown"] or [])
        self.deprecated = settings["deprecated"]
        self.include_in_schema = settings["include_in_schema"]
        self.dependency_overrides_provider = settings["dependency_overrides_provider"]
        self.route_class = settings["route_class"]
        self.default_response_class = settings["default_response_class"]
        self.generate_unique_id_function = settings["generate_unique_id_function"]
        self.form_limits = _validate_form_limits(settings["form_limits"])
        self.strict_content_type = settings["strict_content_type"]
        self.max_body_size = size
        self.cancel_on_disconnect = settings.get("cancel_on_disconnect")
        self.wait_for_first_item = settings.get("wait_for_first_item")
        self.raises = settings.get("raises", ())
        check_errors(self.raises)
        self._routes_version = 0
        self._low_priority_routes: list[BaseRoute] = []
        self._frontend_routes: _FrontendRouteGroup | None = None

    # What is declared.

    def _mark_routes_changed(self) -> None:
        """Tell every view on this router that it is out of date."""
        self._routes_version += 1
        tell_observers(self)

    def _is_transparent(self) -> bool:
        """Tell whether this router, when included, leaves matching and handling to its routes."""
        own, cls = vars(self), type(self)
        methods = ("matches", "handle", "_get_routes_version")
        return all(getattr(cls, name) is getattr(APIRouter, name) and name not in own for name in methods)

    def _get_routes_version(self, seen: set[int] | None = None) -> int:
        """Return a number that grows when routes are added here or in an included router."""
        seen = set() if seen is None else seen
        if id(self) in seen:
            return self._routes_version
        seen.add(id(self))
        below = (route.original_router for route in self.routes if isinstance(route, _IncludedRouter))
        return self._routes_version + sum(router._get_routes_version(seen) for router in below)

    def _contains_router(self, router: "APIRouter", seen: set[int] | None = None) -> bool:
        """Tell whether a router is included here, at any depth.

        Raises:
            FastAPIError: the real `fastapi` asks, since it is to include this router in one of its own.
        """
        refuse_foreign(router)
        return any(below is router for below in self._routers_below(seen) if below is not self)

    def add_route(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response] | Response],
        methods: Collection[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> None:
        """Add a Starlette route: `endpoint` receives the request and returns the response."""
        super().add_route(path, endpoint, methods=methods, name=name, include_in_schema=include_in_schema)
        self._mark_routes_changed()

    def route(
        self,
        path: str,
        methods: Collection[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Decorate a Starlette endpoint; see `add_route`."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_route(path, func, methods=methods, name=name, include_in_schema=include_in_schema)
            return func

        return decorator

    def add_websocket_route(
        self, path: str, endpoint: Callable[[WebSocket], Awaitable[None]], name: str | None = None
    ) -> None:
        """Add a Starlette websocket route: `endpoint` receives the websocket and nothing else."""
        super().add_websocket_route(path, endpoint, name=name)
        self._mark_routes_changed()

    def websocket_route(self, path: str, name: str | None = None) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Decorate a Starlette websocket endpoint; see `add_websocket_route`."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_websocket_route(path, func, name=name)
            return func

        return decorator

    @expands(AddRouteOptions, ADD_ROUTE_DEFAULTS, **_ROUTE_TYPES)
    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Unpack[AddRouteOptions]) -> None:
        """Add a *path operation* under this router's own settings.

        Raises:
            AssertionError, ValueError, FastAPIError: for an endpoint or options that cannot be served.
        """
        settings: dict[str, Any] = {**OWN_OPTIONS, **ADD_ROUTE_DEFAULTS, **AddRouteOptions(**options)}
        settings |= inherit_all(SHARED_SETTINGS, self, settings)
        settings["response_class"] = get_value_or_default(settings["response_class"], self.default_response_class)
        settings["dependency_overrides_provider"] = self.dependency_overrides_provider
        if options.get("wait_for_first_item"):
            # Where a level above has the option, it is for those of its operations that are streams.
            refuse_without_items(endpoint, settings["response_class"])
        route_class = settings.pop("route_class_override") or self.route_class
        refuse_foreign(route_class)
        # A route class written before one of these existed does not know the keyword.
        for name in ("form_limits", *OWN_OPTIONS):
            if settings[name] in (None, ()):
                del settings[name]
        self.routes.append(route_class(self.prefix + path, endpoint=endpoint, **settings))
        self._mark_routes_changed()

    @expands(RouterRouteOptions, ROUTER_ROUTE_DEFAULTS)
    def api_route(
        self, path: str, **options: Unpack[RouterRouteOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Decorate a *path operation* that answers the given methods."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_api_route(path, func, **(ROUTER_ROUTE_DEFAULTS | RouterRouteOptions(**options)))
            return func

        return decorator

    def add_api_websocket_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        name: str | None = None,
        *,
        dependencies: Sequence[params.Depends] | None = None,
    ) -> None:
        """Add a websocket endpoint under this router's prefix and dependencies."""
        route = APIWebSocketRoute(
            self.prefix + path,
            endpoint=endpoint,
            name=name,
            dependencies=[*self.dependencies, *(dependencies or [])],
            dependency_overrides_provider=self.dependency_overrides_provider,
        )
        self.routes.append(route)
        self._mark_routes_changed()

    def frontend(
        self,
        path: str,
        *,
        directory: str | os.PathLike[str],
        fallback: Literal["auto", "index.html", "404.html"] | None = "auto",
        check_dir: bool | Literal["auto"] = "auto",
    ) -> None:
        """Serve a directory of built files below `path` for every URL that no other route answers.

        `fallback` names the file for URLs that name none: the index for browser navigation, or the 404 page.

        Raises:
            AssertionError: for a path or a fallback that is none.
            RuntimeError: a checked directory or fallback file does not exist.
        """
        check_dir = _resolve_frontend_check_dir(directory=directory, check_dir=check_dir)
        path = _join_frontend_paths(self.prefix, _normalize_frontend_path(path))
        if self._frontend_routes is None:
            self._frontend_routes = _FrontendRouteGroup(
                dependencies=self.dependencies,
                dependency_overrides_provider=self.dependency_overrides_provider,
            )
            self._low_priority_routes.append(self._frontend_routes)
        self._frontend_routes.add_frontend_route(path, directory=directory, fallback=fallback, check_dir=check_dir)
        self._mark_routes_changed()

    @expands(IncludeOptions, INCLUDE_DEFAULTS)
    def include_router(self, router: "APIRouter", **options: Unpack[IncludeOptions]) -> None:
        """Serve another router's routes here, those added to it later as well.

        Raises:
            AssertionError: the routers include each other, or the prefix is none.
            FastAPIError: a route would have no path at all.
        """
        refuse_foreign(router)
        assert self is not router, (
            "Cannot include the same APIRouter instance into itself. Did you mean to include a different router?"
        )
        assert not router._contains_router(self), (
            "Cannot include an APIRouter instance that already includes this router. "
            "Did you mean to include a different router?"
        )
        if before := options.get("prefix"):
            _assert_prefix(before)
        else:
            for path, name in effective_path_and_name(router.routes):
                if path == "":
                    raise FastAPIError(f"Prefix and path cannot be both empty (path operation: {name})")
        include_context = _RouterIncludeContext.for_include(
            parent_router=self, included_router=router, **IncludeOptions(**options)
        )
        self.routes.append(_IncludedRouter(original_router=router, include_context=include_context))
        self._mark_routes_changed()
        for event_type, handlers in zip(_EVENT_TYPES, (router.on_startup, router.on_shutdown), strict=True):
            for handler in handlers:
                self.add_event_handler(event_type, handler)
        self.lifespan_context = _merge_lifespan_context(self.lifespan_context, router.lifespan_context)

    # Startup and shutdown.

    async def _startup(self) -> None:
        """Run the startup handlers in order."""
        await _run_handlers(self.on_startup)

    async def _shutdown(self) -> None:
        """Run the shutdown handlers in order."""
        await _run_handlers(self.on_shutdown)

    def add_event_handler(self, event_type: str, func: Callable[[], Any]) -> None:
        """Add a function to call at `"startup"` or `"shutdown"`."""
        assert event_type in _EVENT_TYPES
        handlers = self.on_startup if event_type == "startup" else self.on_shutdown
        handlers.append(func)

    @deprecated_function(ON_EVENT_DEPRECATED)
    def on_event(self, event_type: str) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Decorate a function to call at `"startup"` or `"shutdown"`."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_event_handler(event_type, func)
            return func

        return decorator


know(APIRoute, APIWebSocketRoute)

# Annotations there name it, and are evaluated with the names of that module.
include.__dict__["APIRouter"] = APIRouter


if not TYPE_CHECKING:
    __getattr__ = imported_names(__name__)
