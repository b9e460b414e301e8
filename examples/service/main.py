"""The application: what lives as long as it does, what every request passes through, and its routers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypedDict
from uuid import uuid4

from sqlalchemy import Engine

from ferroapi import FastAPI, Request, Response
from ferroapi.middleware.cors import CORSMiddleware

from .channel import Channel
from .config import settings
from .database import open_database
from .errors import ServiceError, answer_service_error
from .routers import events, files, items, users


class State(TypedDict):
    """What the lifespan hands to every request as `request.state`."""

    engine: Engine
    channel: Channel


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Open the database before the first request, close it after the last."""
    engine = open_database()
    yield {"engine": engine, "channel": Channel()}
    engine.dispose()


app = FastAPI(title="Tool library", summary="Neighbours lend each other tools.", version="1.0.0", lifespan=lifespan)
app.add_exception_handler(ServiceError, answer_service_error)
app.add_middleware(
    CORSMiddleware,
    allow_origins=settings.allowed_origins,
    allow_methods=["GET", "POST", "PATCH", "DELETE"],
    allow_headers=["Authorization"],
    expose_headers=["X-Request-ID"],
)


@app.middleware("http")
async def name_the_request(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give every answer the id of its request, so that a client's report can be found in the logs."""
    response = await call_next(request)
    response.headers["X-Request-ID"] = request.headers.get("X-Request-ID") or uuid4().hex
    return response


for router in (users.router, users.admin, items.router, files.router, events.router):
    app.include_router(router)


@app.get("/", include_in_schema=False)
async def home() -> dict[str, str]:
    """Point to the documentation."""
    return {"docs": "/docs", "openapi": "/openapi.json"}
