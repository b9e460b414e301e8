"""The `json` case in other frameworks, as each documents it for production, for scale."""
# mypy: disable-error-code="import-not-found, no-any-return, no-untyped-def, untyped-decorator"

from collections.abc import Callable
from typing import Any

from benches.cases.exchange import ASGIApp


def _starlette() -> ASGIApp:
    import starlette

    from benches.cases.application import starlette_json

    return starlette_json(starlette)


def _litestar() -> ASGIApp:
    from litestar import Litestar, get

    @get("/json")
    async def read() -> dict[str, str]:
        return {"message": "Hello, World!"}

    return Litestar(route_handlers=[read], openapi_config=None)


def _blacksheep() -> ASGIApp:
    from blacksheep import Application, get, json

    app = Application()

    @get("/json")
    async def read():
        return json({"message": "Hello, World!"})

    return app


def _falcon() -> ASGIApp:
    import falcon.asgi

    class Resource:
        async def on_get(self, request: Any, response: Any) -> None:
            response.media = {"message": "Hello, World!"}

    app = falcon.asgi.App()
    app.add_route("/json", Resource())
    return app


PEERS: dict[str, Callable[[], ASGIApp]] = {
    "starlette": _starlette,
    "litestar": _litestar,
    "blacksheep": _blacksheep,
    "falcon": _falcon,
}
