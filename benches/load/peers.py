"""The load set in other frameworks, as each documents it for production: the same store, page and cache."""
# mypy: disable-error-code="import-not-found, no-any-return, no-untyped-def, untyped-decorator"

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from benches.cases.exchange import ASGIApp
from benches.load.page import fortunes_page
from benches.load.store import Cache, Store, World, clamped, many_worlds, one_world, updated_worlds


def _starlette(store: Store) -> ASGIApp:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    cache = Cache()

    def lifespan(app: Any) -> AbstractAsyncContextManager[None]:
        return cache.kept(store)

    def number(request: Request) -> int:
        return clamped(request.query_params.get("queries", "1"))

    async def json(request: Request) -> Response:
        return JSONResponse({"message": "Hello, World!"})

    async def plaintext(request: Request) -> Response:
        return PlainTextResponse("Hello, World!")

    async def single(request: Request) -> Response:
        return JSONResponse(await one_world(store))

    async def multiple(request: Request) -> Response:
        return JSONResponse(await many_worlds(store, number(request)))

    async def cached(request: Request) -> Response:
        return JSONResponse(cache.many(number(request)))

    async def fortunes(request: Request) -> Response:
        return HTMLResponse(await fortunes_page(store))

    async def updates(request: Request) -> Response:
        return JSONResponse(await updated_worlds(store, number(request)))

    routes = [
        Route("/json", json),
        Route("/plaintext", plaintext),
        Route("/db", single),
        Route("/queries", multiple),
        Route("/cached-queries", cached),
        Route("/fortunes", fortunes),
        Route("/updates", updates),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _litestar(store: Store) -> ASGIApp:
    from litestar import Litestar, MediaType, get

    cache = Cache()

    def lifespan(app: Any) -> AbstractAsyncContextManager[None]:
        return cache.kept(store)

    @get("/json")
    async def json() -> dict[str, str]:
        return {"message": "Hello, World!"}

    @get("/plaintext", media_type=MediaType.TEXT)
    async def plaintext() -> str:
        return "Hello, World!"

    @get("/db")
    async def single() -> World:
        return await one_world(store)

    @get("/queries")
    async def multiple(queries: str = "1") -> list[World]:
        return await many_worlds(store, clamped(queries))

    @get("/cached-queries")
    async def cached(queries: str = "1") -> list[World]:
        return cache.many(clamped(queries))

    @get("/fortunes", media_type=MediaType.HTML)
    async def fortunes() -> str:
        return await fortunes_page(store)

    @get("/updates")
    async def updates(queries: str = "1") -> list[World]:
        return await updated_worlds(store, clamped(queries))

    handlers = [json, plaintext, single, multiple, cached, fortunes, updates]
    return Litestar(route_handlers=handlers, lifespan=[lifespan], openapi_config=None)


def _blacksheep(store: Store) -> ASGIApp:
    from blacksheep import Application, Request, Router, html, json, text

    cache, router = Cache(), Router()
    app = Application(router=router)

    @app.lifespan
    async def lifespan():
        async with cache.kept(store):
            yield

    def number(request: Request) -> int:
        return clamped((request.query.get("queries") or ["1"])[0])

    @router.get("/json")
    async def read():
        return json({"message": "Hello, World!"})

    @router.get("/plaintext")
    async def plaintext():
        return text("Hello, World!")

    @router.get("/db")
    async def single():
        return json(await one_world(store))

    @router.get("/queries")
    async def multiple(request: Request):
        return json(await many_worlds(store, number(request)))

    @router.get("/cached-queries")
    async def cached(request: Request):
        return json(cache.many(number(request)))

    @router.get("/fortunes")
    async def fortunes():
        return html(await fortunes_page(store))

    @router.get("/updates")
    async def updates(request: Request):
        return json(await updated_worlds(store, number(request)))

    return app


PEERS: dict[str, Callable[[Store], ASGIApp]] = {
    "starlette": _starlette,
    "litestar": _litestar,
    "blacksheep": _blacksheep,
}
