"""What is below a middleware class of the application's own: entered in one call, with FastAPI's outcome."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

Log = list[Any]


class Layer:
    def __init__(self, app: Any, log: Log) -> None:
        self.app, self.log = app, log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            self.log.append(message["type"])
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            self.log.append(type(error).__name__)
            raise
        finally:
            names = ("app", "router", "route", "endpoint", "path_params", "starlette.exception_handlers")
            self.log.append(sorted(name for name in names if name in scope))


class Hidden(Layer):
    """Keeps what is below under another name."""

    def __init__(self, app: Any, log: Log) -> None:
        super().__init__(app, log)
        self.below = self.__dict__.pop("app")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.below(scope, receive, send)


class Twice(Layer):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def ignore(message: Any) -> None: ...

        # A body can be received once.
        if scope["type"] == "http" and scope["method"] == "GET":
            await self.app(dict(scope), receive, ignore)
        await self.app(scope, receive, send)


def application(framework: str, log: Log, *layers: Any) -> Any:
    f = importlib.import_module(framework)
    app = f.FastAPI()
    for layer in layers:
        app.add_middleware(layer, log=log)

    async def generator() -> Any:
        try:
            yield 1
        except BaseException as error:
            log.append(repr(error))
            raise
        finally:
            log.append("closed")

    @app.get("/items/{item_id}", dependencies=[f.Depends(generator)])
    async def item(item_id: int, fail: str = "") -> Any:
        if fail == "http":
            raise f.HTTPException(418, "teapot")
        if fail == "key":
            raise KeyError(fail)
        if fail:
            raise ValueError(fail)
        return {"item_id": item_id}

    @app.exception_handler(KeyError)
    async def on_key(request: Any, error: KeyError) -> Any:
        return PlainTextResponse("key", 409)

    @app.post("/body")
    async def body(x: int = f.Body(embed=True)) -> Any:
        return x

    sub = f.FastAPI()

    @sub.get("/")
    async def inside() -> Any:
        return "inside"

    app.mount("/sub", sub)
    return app


def replace_handler_layer(app: Any, log: Log) -> None:
    from starlette.middleware.exceptions import ExceptionMiddleware

    original = ExceptionMiddleware.__call__

    async def replaced(self: Any, scope: Any, receive: Any, send: Any) -> None:
        log.append("replaced")
        await original(self, scope, receive, send)

    ExceptionMiddleware.__call__ = replaced  # type: ignore[method-assign]


def add_a_route(app: Any, log: Log) -> None:
    app.add_api_route("/late", lambda: "late")


def build_again(app: Any, log: Log) -> None:
    app.middleware_stack = app.build_middleware_stack()


REQUESTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", "/items/5", {}),
    ("GET", "/items/x", {}),
    ("GET", "/items/5?fail=http", {}),
    ("GET", "/items/5?fail=key", {}),
    ("GET", "/items/5?fail=value", {}),
    ("POST", "/items/5", {}),
    ("POST", "/body", {"json": {"x": 1}}),
    ("POST", "/body", {"content": b"{"}),
    ("GET", "/none", {}),
    ("GET", "/late", {}),
    ("GET", "/sub/", {}),
)


@pytest.mark.parametrize("change", [None, add_a_route, build_again, replace_handler_layer])
@pytest.mark.parametrize("layers", [(Layer,), (Layer, Twice), (Hidden,), (Hidden, Layer)], ids=str)
def test_request_behind_a_middleware_class_is_as_under_fastapi(
    layers: Any, change: Callable[[Any, Log], None] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.middleware.exceptions import ExceptionMiddleware

    found = []
    for framework in ("fastapi", "ferroapi"):
        with monkeypatch.context() as patch:
            patch.setattr(ExceptionMiddleware, "__call__", ExceptionMiddleware.__call__)
            log: Log = []
            app = application(framework, log, *layers)
            client = importlib.import_module(f"{framework}.testclient").TestClient(app, raise_server_exceptions=False)
            for _ in range(2):
                for method, path, options in REQUESTS:
                    response = client.request(method, path, **options)
                    log.append([path, response.status_code, dict(response.headers), response.content])
                if change is not None:
                    change(app, log)
            found.append(log)
    assert found[0] == found[1]
