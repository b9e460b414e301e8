"""Strategies: what stands around the operations: middleware, limits, and options of application and routers."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse

from ..drawn import Application
from ..drawn.middleware import KINDS
from .values import now_and_then

_LIMITS: list[tuple[str, list[Any]]] = [
    ("max_body_size", [0, 5, 20, 1000, None]),
    ("form_limits", [{"max_fields": 1}, {"max_files": 1}, {"max_part_size": 4}, {"max_fields": 0, "max_files": 0}]),
]
_EVERYWHERE: list[tuple[str, list[Any]]] = [
    *_LIMITS,
    ("default_response_class", [PlainTextResponse, HTMLResponse, JSONResponse]),
]
_APPLICATION: list[tuple[str, list[Any]]] = [
    *_EVERYWHERE,
    ("strict_content_type", [False]),
    ("redirect_slashes", [False]),
    ("root_path", ["/api"]),
    ("root_path_in_servers", [False]),
]
_ROUTER: list[tuple[str, list[Any]]] = [*_EVERYWHERE, ("strict_content_type", [False, True])]


@st.composite
def options(draw: st.DrawFn, known: list[tuple[str, list[Any]]]) -> tuple[tuple[str, Any], ...]:
    """Up to two options and their values."""
    chosen = draw(st.lists(st.sampled_from(known), max_size=2, unique_by=lambda option: option[0]))
    return tuple((name, draw(st.sampled_from(values))) for name, values in chosen)


@st.composite
def surrounded(draw: st.DrawFn, description: Application) -> Application:
    """The application with middleware, limits and options around and in it."""
    operations = [
        replace(each, options=(*each.options, *draw(options(_LIMITS))))
        if each.method != "WEBSOCKET" and now_and_then(draw, times=3)
        else each
        for each in description.operations
    ]
    return replace(
        description,
        operations=tuple(operations),
        middleware=tuple(draw(st.lists(st.sampled_from(KINDS), max_size=3))),
        options=draw(options(_APPLICATION)),
        router_options=draw(options(_ROUTER)),
        include_options=draw(options(_EVERYWHERE)),
    )
