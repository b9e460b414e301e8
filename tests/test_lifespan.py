"""Lifespans of routers and how they join: `ferroapi._routing.lifespan`."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ferroapi import APIRouter, FastAPI, Request
from ferroapi.testclient import TestClient


def recording(name: str, calls: list[str], state: dict[str, Any] | None = None) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any] | None]:
        calls.append(f"{name} up")
        yield state
        calls.append(f"{name} down")

    return lifespan


def test_included_lifespan_runs_inside_the_applications() -> None:
    calls: list[str] = []
    app = FastAPI(lifespan=recording("app", calls))
    app.include_router(APIRouter(lifespan=recording("router", calls)))
    with TestClient(app):
        assert calls == ["app up", "router up"]
    assert calls[2:] == ["router down", "app down"]


@pytest.mark.parametrize(
    ("outer", "inner", "merged"),
    [
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 1, "b": 3}),
        ({"a": 1}, None, {"a": 1}),
        (None, {"b": 3}, {"b": 3}),
        (None, None, {}),
    ],
)
def test_states_join_and_the_outer_one_wins(outer: Any, inner: Any, merged: Any) -> None:
    app = FastAPI(lifespan=recording("app", [], outer))
    app.include_router(APIRouter(lifespan=recording("router", [], inner)))

    @app.get("/")
    def endpoint(request: Request) -> Any:
        return dict(request.state._state)

    with TestClient(app) as client:
        assert client.get("/").json() == merged


def test_plain_generator_functions_are_lifespans() -> None:
    calls: list[str] = []

    def plain(app: Any) -> Iterator[None]:
        calls.append("plain up")
        yield
        calls.append("plain down")

    async def asynchronous(app: Any) -> AsyncIterator[None]:
        calls.append("async up")
        yield
        calls.append("async down")

    app = FastAPI(lifespan=plain)  # type: ignore[arg-type]
    app.include_router(APIRouter(lifespan=asynchronous))  # type: ignore[arg-type]
    with TestClient(app):
        pass
    assert calls == ["plain up", "async up", "async down", "plain down"]


def test_event_handlers_run_in_order_where_there_is_no_lifespan() -> None:
    calls: list[str] = []

    async def later() -> None:
        calls.append("async")

    app = FastAPI(on_startup=[lambda: calls.append("first"), later])
    app.include_router(
        APIRouter(on_startup=[lambda: calls.append("router")], on_shutdown=[lambda: calls.append("bye")])
    )
    with TestClient(app):
        assert calls.count("router") >= 1
        assert calls[:2] == ["first", "async"]
    assert "bye" in calls


def test_on_event_is_deprecated() -> None:
    app = FastAPI()
    with pytest.warns(DeprecationWarning, match="on_event is deprecated"):
        app.on_event("startup")(lambda: None)
    with pytest.raises(AssertionError):
        app.router.add_event_handler("reload", lambda: None)
