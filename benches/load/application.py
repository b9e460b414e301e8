"""The load set's application, written once: `framework`, the imported ferroapi or FastAPI, is the only difference."""
# mypy: disable-error-code="no-any-return, untyped-decorator"

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from starlette.responses import HTMLResponse, PlainTextResponse

from benches.cases.exchange import ASGIApp
from benches.load.page import fortunes_page
from benches.load.store import Cache, Store, World, clamped, many_worlds, one_world, updated_worlds


def make_application(framework: Any, store: Store) -> ASGIApp:
    """Return the application with a path for each test type."""
    cache = Cache()

    def lifespan(app: Any) -> AbstractAsyncContextManager[None]:
        return cache.kept(store)

    app = framework.FastAPI(lifespan=lifespan)

    async def number_of_queries(queries: str = "1") -> int:
        return clamped(queries)

    Number = Annotated[int, framework.Depends(number_of_queries)]

    @app.get("/json")
    async def json() -> dict[str, str]:
        return {"message": "Hello, World!"}

    @app.get("/plaintext", response_class=PlainTextResponse)
    async def plaintext() -> str:
        return "Hello, World!"

    @app.get("/db")
    async def single() -> World:
        return await one_world(store)

    @app.get("/queries")
    async def multiple(number: Number) -> list[World]:
        return await many_worlds(store, number)

    @app.get("/cached-queries")
    async def cached(number: Number) -> list[World]:
        return cache.many(number)

    @app.get("/fortunes", response_class=HTMLResponse)
    async def fortunes() -> str:
        return await fortunes_page(store)

    @app.get("/updates")
    async def updates(number: Number) -> list[World]:
        return await updated_worlds(store, number)

    return app
