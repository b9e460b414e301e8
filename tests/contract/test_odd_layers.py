"""Layers of middleware written in unusual ways: looking at a stack runs no code of theirs, and sets nothing on them."""

import dataclasses
import importlib
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest import mock

import pytest
import wrapt
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

EVENTS: list[str] = []


@dataclasses.dataclass(frozen=True)
class Frozen:
    app: Any

    async def __call__(self, *connection: Any) -> None:
        await self.app(*connection)


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenWithSlots:
    app: Any

    async def __call__(self, *connection: Any) -> None:
        await self.app(*connection)


class Slots:
    __slots__ = ("_inner", "app")

    def __init__(self, app: Any) -> None:
        self._inner = app

    async def __call__(self, *connection: Any) -> None:
        await self._inner(*connection)


class Named(NamedTuple):
    app: Any

    async def __call__(self, *connection: Any) -> None:
        await self.app(*connection)


class Immutable:
    app: Any

    def __init__(self, app: Any) -> None:
        object.__setattr__(self, "app", app)

    def __setattr__(self, name: str, value: Any) -> None:
        EVENTS.append(f"{name} is set")
        raise TypeError(name)

    async def __call__(self, *connection: Any) -> None:
        await self.app(*connection)


class AttributesElsewhere:
    __slots__ = ("_attributes",)

    def __init__(self, app: Any) -> None:
        self._attributes = {"app": app}

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        EVENTS.append("__dict__ is read")
        return MappingProxyType(self._attributes)

    async def __call__(self, *connection: Any) -> None:
        await self._attributes["app"](*connection)


class AttributesComputed:
    def __init__(self, app: Any) -> None:
        self._inner = app

    def __getattr__(self, name: str) -> Any:
        EVENTS.append(f"{name} is read")
        return getattr(self._inner, name)

    async def __call__(self, *connection: Any) -> None:
        await self._inner(*connection)


class FailingProperty:
    def __init__(self, app: Any) -> None:
        self._inner = app

    @property
    def app(self) -> Any:
        EVENTS.append("app is read")
        raise ValueError("not yet")

    async def __call__(self, *connection: Any) -> None:
        await self._inner(*connection)


class Incomparable:
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, app: Any) -> None:
        self.app = app

    def __eq__(self, other: object) -> bool:
        EVENTS.append("is compared")
        raise ValueError("not comparable")

    async def __call__(self, *connection: Any) -> None:
        await self.app(*connection)


class Counting:
    def __init__(self, app: Any) -> None:
        self.app = app
        self.calls = 0
        self._attributes = vars(self)

    async def __call__(self, *connection: Any) -> None:
        self._attributes["calls"] += 1
        EVENTS.append(f"call {self.calls}")
        await self.app(*connection)


class Proxy(wrapt.ObjectProxy):  # type: ignore[misc]
    async def __call__(self, *connection: Any) -> None:
        await self.__wrapped__(*connection)


class Closed(GZipMiddleware):
    def __init__(self, app: Any) -> None:
        super().__init__(app)
        vars(self)["is_closed"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        if "is_closed" in vars(self):
            EVENTS.append(f"{name} is set")
            raise TypeError(name)
        super().__setattr__(name, value)


class Single(TrustedHostMiddleware):
    def __copy__(self) -> Any:
        EVENTS.append("is copied")
        raise TypeError("not copied")


class Unpickled(TrustedHostMiddleware):
    def __reduce_ex__(self, protocol: Any) -> Any:
        EVENTS.append("is reduced")
        raise TypeError("not pickled")


class Delegating(GZipMiddleware):
    def __getattr__(self, name: str) -> Any:
        EVENTS.append(f"{name} is read")
        return getattr(self.app, name)


class Computing(GZipMiddleware):
    def __init__(self, app: Any) -> None:
        vars(self).update(vars(GZipMiddleware(app)), _inner=app)

    @property
    def app(self) -> Any:  # type: ignore[override]
        EVENTS.append("app is read")
        return self._inner  # type: ignore[attr-defined]


class MadeOfItsApp(GZipMiddleware):
    def __new__(cls, app: Any) -> Any:
        EVENTS.append("is made")
        return super().__new__(cls)


def decorated(app: Any) -> Any:
    """What tracers make of an application."""

    async def call(wrapped: Any, instance: Any, arguments: Any, keywords: Any) -> None:
        await wrapped(*arguments, **keywords)

    return wrapt.FunctionWrapper(app, call)


def mocked(app: Any) -> Any:
    async def call(*connection: Any) -> None:
        await app(*connection)

    return mock.AsyncMock(side_effect=call)


LAYERS = (
    *(Frozen, FrozenWithSlots, Slots, Named, Immutable, AttributesElsewhere, AttributesComputed, FailingProperty),
    *(Incomparable, Counting, Proxy, Closed, Single, Unpickled, Delegating, Computing, MadeOfItsApp, decorated, mocked),
)


def add(app: Any, layer: Any) -> None:
    app.add_middleware(layer)


def put_around_the_stack(app: Any, layer: Any) -> None:
    app.middleware_stack = layer(app.build_middleware_stack())


def put_into_the_stack(app: Any, layer: Any) -> None:
    app.middleware_stack = stack = app.build_middleware_stack()
    stack.app = layer(stack.app)


def put_around_the_router(app: Any, layer: Any) -> None:
    app.router.middleware_stack = layer(app.router.middleware_stack)


def answers(framework: str, layer: Any, put: Callable[[Any, Any], None], *, is_served: bool) -> Any:
    """Return what an application with a layer answers, and what code of the layer's was run for that."""
    m = importlib.import_module(framework)
    app = m.FastAPI()
    client = TestClient(app)

    @app.get("/")
    def read() -> str:
        return "read"

    found: list[Any] = [client.get("/").text] if is_served and put is not add else []
    EVENTS.clear()
    put(app, layer)
    for path in ("/", "/nothing", "/"):
        response = client.get(path)
        found.append([response.status_code, response.text])
    return found, list(EVENTS)


@pytest.mark.parametrize("is_served", [False, True], ids=["new", "served"])
@pytest.mark.parametrize("put", [add, put_around_the_stack, put_into_the_stack, put_around_the_router])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_layer_is_called_as_by_fastapi(layer: Any, put: Any, is_served: bool) -> None:
    expected = answers("fastapi", layer, put, is_served=is_served)
    assert answers("ferroapi", layer, put, is_served=is_served) == expected
    assert expected[0][-1] == [200, '"read"']


@pytest.mark.parametrize("layer", [Frozen, Incomparable], ids=lambda layer: layer.__name__)
def test_application_of_an_odd_layer_is_replaced(layer: Any) -> None:
    def served(framework: str) -> Any:
        m = importlib.import_module(framework)
        app = m.FastAPI()
        app.add_middleware(layer)
        client = TestClient(app)
        first = client.get("/nothing").status_code
        odd = app.middleware_stack
        while type(odd) is not layer:
            odd = odd.app
        inner = odd.app

        async def teapot(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("another", 418)(scope, receive, send)

        object.__setattr__(odd, "app", teapot)
        replaced = client.get("/nothing").status_code
        object.__setattr__(odd, "app", inner)
        return first, replaced, client.get("/nothing").status_code

    assert served("ferroapi") == served("fastapi") == (404, 418, 404)


@pytest.mark.parametrize("is_later", [False, True], ids=["at once", "after a request"])
def test_router_is_given_another_class(is_later: bool) -> None:
    def served(framework: str) -> Any:
        m = importlib.import_module(framework)
        app, seen = m.FastAPI(), []

        class Recording(m.APIRouter):  # type: ignore[misc, name-defined]
            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                seen.append(scope["path"])
                await super().__call__(scope, receive, send)

        @app.get("/")
        def read() -> int:
            return 1

        client = TestClient(app)
        if is_later:
            client.get("/")
            client.get("/")
        app.router.__class__ = Recording
        statuses = [client.get(path).status_code for path in ("/", "/nothing", "/")]
        app.router.__class__ = m.APIRouter
        return statuses, client.get("/").status_code, seen

    assert served("ferroapi") == served("fastapi") == ([200, 404, 200], 200, ["/", "/nothing", "/"])


@pytest.mark.parametrize("where", ["mounted", "default", "of a route", "of a used route"])
def test_application_whose_attributes_fail_is_served(where: str) -> None:
    class Failing:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("answered")(scope, receive, send)

        def __getattr__(self, name: str) -> Any:
            raise ValueError(name)

    def served(framework: str) -> Any:
        app = importlib.import_module(framework).FastAPI()
        if where == "mounted":
            app.mount("/below", Failing())
        elif where == "default":
            app.router.default = Failing()
        else:
            app.get("/below/{path}")(lambda path: path)
            if where == "of a used route":
                assert TestClient(app).get("/below/x").text == '"x"'
            app.routes[-1].app = Failing()
        client = TestClient(app)
        return [(client.get(path).status_code, client.get(path).text) for path in ("/below/x", "/nothing")]

    assert served("ferroapi") == served("fastapi")
    assert served("ferroapi")[0] == (200, "answered")


@pytest.mark.parametrize("guarded", ["application", "router", "route"])
@pytest.mark.parametrize("has_middleware", [False, True], ids=["plain", "middleware"])
def test_subclass_that_lets_nothing_be_set_is_served(guarded: str, has_middleware: bool) -> None:
    """FastAPI sets two attributes of an application later, and none of a router or a route."""

    def guard(base: type) -> Any:
        class Guarded(base):
            def __setattr__(self, name: str, value: Any) -> None:
                if vars(self).get("is_closed") and name != "middleware_stack" and "openapi" not in name:
                    raise TypeError(name)
                super().__setattr__(name, value)

        return Guarded

    def served(framework: str) -> Any:
        m = importlib.import_module(framework)
        app = (guard(m.FastAPI) if guarded == "application" else m.FastAPI)()
        route_class = guard(m.routing.APIRoute) if guarded == "route" else m.routing.APIRoute
        router = (guard(m.APIRouter) if guarded == "router" else m.APIRouter)(route_class=route_class)

        @router.get("/read")
        def read(number: int = 1) -> int:
            return number

        if has_middleware:

            @app.middleware("http")
            async def pass_on(request: Any, call_next: Any) -> Any:
                return await call_next(request)

        app.include_router(router, prefix="/included")
        for closed in (app, router, router.routes[0]):
            closed.is_closed = True
        client = TestClient(app)
        urls = ("/included/read", "/included/read?number=x", "/nothing", "/openapi.json", "/included/read?number=2")
        found = [(client.get(url).status_code, client.get(url).text) for url in urls]
        router.routes.append(app.routes[0])
        return found, client.get("/included/openapi.json").status_code

    assert served("ferroapi") == served("fastapi")


def test_route_class_sees_no_attribute_set_that_fastapi_does_not_set() -> None:
    def seen(framework: str) -> set[str]:
        m, names = importlib.import_module(framework), set()

        class Noting(m.routing.APIRoute):  # type: ignore[misc, name-defined]
            def __setattr__(self, name: str, value: Any) -> None:
                names.add(name)
                super().__setattr__(name, value)

        app = m.FastAPI()
        router = m.APIRouter(route_class=Noting)
        router.add_api_route("/items/{item}", lambda item: item)
        app.include_router(router)
        assert TestClient(app).get("/items/1").text == '"1"'
        return names

    assert seen("ferroapi") <= seen("fastapi")
