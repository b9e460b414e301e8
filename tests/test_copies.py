"""Routes, views on them and applications can be copied, and have the attributes that FastAPI's have."""

import copy
import importlib
import io
import threading
from typing import Any

import cloudpickle
import pytest
from starlette.datastructures import State
from starlette.responses import PlainTextResponse
from starlette.routing import Host, WebSocketRoute

FRAMEWORKS = ("fastapi", "ferroapi")
EACH_STATE = pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])


class Uncopied:
    """A dependency that must not be copied, as one that holds a lock."""

    def __call__(self) -> int:
        return 1

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("it was copied")


def application(framework: str, is_used: bool) -> Any:
    m = importlib.import_module(framework)
    app, router = m.FastAPI(), m.APIRouter()

    @app.get("/own/{x}")
    def own(request: m.Request, x: int, made: int = m.Depends(Uncopied())) -> Any:
        return x, made, request.app is app

    @router.get("/included")
    def included(x: int = 1) -> Any:
        return x

    @app.websocket("/socket")
    @router.websocket("/socket")
    async def socket(websocket: m.WebSocket) -> None:
        await websocket.accept()

    async def plain(request: Any) -> Any:
        return PlainTextResponse("plain")

    router.add_route("/plain", plain)
    router.mount("/mount", app=PlainTextResponse("mounted"))
    router.routes += [Host("host", app=PlainTextResponse("host")), WebSocketRoute("/w", plain)]
    app.include_router(router, prefix="/p", dependencies=[m.Depends(lambda: 1)])
    if is_used:
        client = m.testclient.TestClient(app)
        for path in ("/own/2", "/own/2", "/p/included", "/p/plain", "/nothing"):
            client.get(path)
    return app


def routes(framework: str, app: Any) -> list[Any]:
    routing = importlib.import_module(f"{framework}.routing")
    pairs = routing._iter_routes_with_context(app.router.routes)
    return [route if context is None else context for route, context in pairs]


def client(framework: str, app: Any) -> Any:
    return importlib.import_module(f"{framework}.testclient").TestClient(app)


def each(framework: str) -> Any:
    importlib.import_module(f"{framework}.testclient")
    return framework


def shown(value: Any) -> Any:
    return (
        repr(value) if isinstance(value, str | int | list | set | dict | tuple | type(None)) else type(value).__name__
    )


@EACH_STATE
@pytest.mark.parametrize("make", [lambda route: route, copy.copy], ids=["original", "copy"])
def test_attributes_of_routes_and_views_are_those_of_fastapi(make: Any, is_used: bool) -> None:
    found = [
        [sorted(vars(make(route))) for route in routes(framework, application(each(framework), is_used))]
        for framework in FRAMEWORKS
    ]
    assert found[1] == found[0]


def test_values_of_the_attributes_of_a_view_are_those_of_fastapi() -> None:
    found = []
    for framework in FRAMEWORKS:
        views = [
            route for route in routes(framework, application(each(framework), True)) if hasattr(route, "original_route")
        ]
        found.append([{name: shown(value) for name, value in vars(view).items()} for view in views])
        for view in found[-1]:
            # They hold objects of the frameworks, whose addresses are shown.
            assert view.pop("dependencies").startswith("[") and view.pop("starlette_route")
            view.pop("original_route")
    assert found[1] == found[0]


@EACH_STATE
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_copied_route_is_served(framework: str, is_used: bool) -> None:
    app = application(each(framework), is_used)
    route = app.router.routes[4]
    deep = copy.deepcopy(route, {id(kept): kept for kept in (route.dependant, app)})
    for copied in (copy.copy(route), deep, copy.copy(deep)):
        other = importlib.import_module(framework).FastAPI(openapi_url=None)
        other.router.routes.append(copied)
        assert client(framework, other).get("/own/5").json() == [5, 1, False]
    # Each has attributes of its own.
    deep.methods = {"POST"}
    assert client(framework, app).get("/own/5").json() == [5, 1, True]


@EACH_STATE
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_copied_application_is_the_one_that_serves(framework: str, is_used: bool) -> None:
    app = application(each(framework), is_used)
    copied = copy.copy(app)
    for _ in range(3):
        assert client(framework, copied).get("/own/5").json() == [5, 1, False]
        assert client(framework, app).get("/own/5").json() == [5, 1, True]


def test_copied_view_can_be_edited_by_itself() -> None:
    app = application(each("ferroapi"), True)
    view = next(route for route in routes("ferroapi", app) if getattr(route, "path", "") == "/p/included")
    copied = copy.copy(view)
    copied.methods = {"POST"}
    assert (view.methods, client("ferroapi", app).get("/p/included").json()) == ({"GET"}, 1)


class RayPickler(cloudpickle.Pickler):  # type: ignore[name-defined, misc]
    """Pickles applications as Ray Serve does: it adds what FastAPI's applications need beside cloudpickle."""

    dispatch_table = cloudpickle.Pickler.dispatch_table.new_child(
        {type(threading.Lock()): lambda lock: (threading.Lock, ()), State: lambda state: (State, (state._state,))}
    )


@EACH_STATE
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_pickled_application_serves_and_tells_of_edits(framework: str, is_used: bool) -> None:
    app = application(each(framework), is_used)
    written = io.BytesIO()
    RayPickler(written).dump(app)
    copied = cloudpickle.loads(written.getvalue())
    for _ in range(2):
        assert client(framework, copied).get("/own/5").json() == [5, 1, True]
        assert client(framework, copied).get("/p/included").json() == 1
        assert client(framework, copied).get("/p/plain").text == "plain"
    assert copied.openapi()["paths"].keys() == app.openapi()["paths"].keys()
    copied.router.routes.pop(4)
    assert client(framework, copied).get("/own/5").status_code == 404
    assert client(framework, app).get("/own/5").json() == [5, 1, True]
