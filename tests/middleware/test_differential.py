"""Under every middleware stack each request has FastAPI's messages, exceptions, order of events and contexts."""

import asyncio
import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from ferroapi._middleware import texts
from ferroapi._wings import OFF

from ..core.asgi import Answer, ask, http_scope

sys.path.insert(0, str(Path(__file__).parent))

import surroundings

STARLETTES_OWN = "middleware" in OFF or not texts.is_known("starlette.middleware.base")
"""Under ferroapi, too, Starlette's code runs middleware functions: the wing is off, or its Starlette another."""

# Starlette's own middleware, under FastAPI too, leaves a file open whose response is cancelled while it is opened.
pytestmark = (
    pytest.mark.filterwarnings("ignore:.*surroundings.py:pytest.PytestUnraisableExceptionWarning")
    if STARLETTES_OWN
    else []
)

ABANDONED = {"/sync", "/opened-sync", "/file", "/slow-stream"}
"""Where a second `call_next` fails before FastAPI begins the thread of that call, and after it begins here.

Of two slow streams in one response the clock says which ends first, under FastAPI as well.
"""


BACKGROUND = {"of the middleware", "streamed"}
"""What two tasks do in worker threads once the response is sent: which thread is first is nobody's promise."""


def _without_order_of_threads(seen: surroundings.Seen) -> surroundings.Seen:
    if STARLETTES_OWN:
        # Starlette's own middleware sends in one task what the application says in another, and neither waits.
        return replace(seen, log=sorted(seen.log, key=repr))
    last = seen.log[-len(BACKGROUND) :]
    return replace(seen, log=seen.log[: -len(last)] + sorted(last)) if set(last) == BACKGROUND else seen


async def _serve_all(framework: str, stack: str, waits: bool) -> list[surroundings.Seen]:
    log: surroundings.Log = []
    app = surroundings.build(importlib.import_module(framework), surroundings.STACKS[stack], log)
    await surroundings.serve(app, log, surroundings.Asked("/json"), waits=False)
    return [await surroundings.serve(app, log, asked, waits=waits) for asked in surroundings.REQUESTS]


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "waiting"])
@pytest.mark.parametrize("stack", surroundings.STACKS)
def test_stack_answers_as_under_fastapi(stack: str, waits: bool) -> None:
    theirs = asyncio.run(_serve_all("fastapi", stack, waits))
    ours = asyncio.run(_serve_all("ferroapi", stack, waits))
    different: dict[Any, Any] = {}
    for asked, expected, answered in zip(surroundings.REQUESTS, theirs, ours, strict=True):
        if stack == "calls_twice" and asked.path in ABANDONED:
            continue
        if _without_order_of_threads(answered) != _without_order_of_threads(expected):
            different[asked] = (expected, answered)
    assert not different


async def _edited(framework: str, cls: type, options: dict[str, Any], edits: dict[str, Any]) -> list[Answer]:
    app = importlib.import_module(framework).FastAPI(openapi_url=None)
    app.add_middleware(cls, **options)
    app.get("/")(lambda: "a" * 200)
    scope = http_scope("/", headers=[(b"host", b"one"), (b"origin", b"https://one"), (b"accept-encoding", b"gzip")])
    answers = [await ask(app, scope), await ask(app, scope)]
    layer = app.middleware_stack
    while type(layer) is not cls:
        layer = layer.app
    for name, value in edits.items():
        setattr(layer, name, value)
    return [*answers, await ask(app, scope)]


@pytest.mark.parametrize(
    ("cls", "options", "edits"),
    [
        (GZipMiddleware, {"minimum_size": 1000}, {"minimum_size": 10}),
        (TrustedHostMiddleware, {"allowed_hosts": ["one"]}, {"allowed_hosts": ["two"], "allow_any": False}),
        (CORSMiddleware, {"allow_origins": ["https://one"]}, {"allow_origins": [], "allow_all_origins": False}),
    ],
)
def test_attribute_of_a_layer_that_is_set_late_is_seen(
    cls: type, options: dict[str, Any], edits: dict[str, Any]
) -> None:
    ours = asyncio.run(_edited("ferroapi", cls, options, edits))
    assert ours == asyncio.run(_edited("fastapi", cls, options, edits))
    assert ours[0] == ours[1] != ours[2]
