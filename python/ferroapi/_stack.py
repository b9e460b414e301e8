"""How a request gets through a built middleware stack: past all of it, from layer to layer, or by calling it."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, takewhile
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Router

from ferroapi import _core
from ferroapi._body_limit import LIMIT_LAYERS, AppBodyLimitMiddleware
from ferroapi._definitions import is_as_written
from ferroapi._engine import stand_ins
from ferroapi._engine.entrance import PassedExceptionMiddleware
from ferroapi._witness import layer_below, rows_as_found
from ferroapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from ferroapi.telemetry._asgi import ExceptionTelemetryMiddleware

_OUTER_STACK: tuple[type, ...] = (ServerErrorMiddleware, ExceptionTelemetryMiddleware, AppBodyLimitMiddleware)
"""The layers around the user's middleware, outermost first."""

_INNER_STACK: tuple[type, ...] = (ExceptionMiddleware, AsyncExitStackMiddleware)
"""The layers between the user's middleware and the router."""

_DEEPEST_STACK = 1_000
"""Layers that are looked at: a stack may lead back into itself."""


_NOTHING = _core.Witness([])
"""What is watched where nothing is."""


@dataclass(frozen=True, eq=False)
class StackPlan:
    """What was decided of one stack; a value, since other threads may be using it while the next one is made."""

    stack: Any = None
    """The outermost layer, None if nothing is decided."""
    layers: _core.Witness = _NOTHING
    """What is watched of the layers: while none of it is replaced, the plan holds."""
    router: Any = None
    """The router, if a request may go past all layers."""
    chain: stand_ins.Application | None = None
    """What is called in place of the stack, if a request may not."""
    handlers: tuple[Any, Any] | None = None
    """The exception handlers by class and by status of the stack's own layer."""
    downstream: Any = None
    """What an exception is raised in, below the user's middleware."""

    def ended(self) -> "StackPlan":
        """Return what is left of it: requests under way may still ask for the handlers."""
        return replace(self, stack=None, router=None, chain=None)


def plan_stack(application: Any, stack: Any, call: stand_ins.Application) -> StackPlan:
    """Decide how much of a built stack a request can go past; `call` calls it as it is."""
    router = application.router
    layers: list[Any] = []
    layer: Any = stack
    while layer is not router and (below := layer_below(layer)) is not None and len(layers) < _DEEPEST_STACK:
        layers.append(layer)
        layer = below
    # First: what is replaced from here on is seen.
    rows = chain(
        stand_ins.middleware.rows(layers), *(rows_as_found(cls, "__call__") for cls in (Starlette, type(router)))
    )
    former: StackPlan = application._stack_plan
    plan = replace(former.ended(), stack=stack, layers=_core.Witness(list(rows)))
    is_limited = application.max_body_size is not None
    around = (*_OUTER_STACK, *LIMIT_LAYERS) if is_limited else _OUTER_STACK
    outer, inner = layers[: len(around)], layers[len(around) :]
    innermost = inner[-len(_INNER_STACK) :]
    is_whole = layer is router and _is_made_of(innermost, _INNER_STACK) and _is_router_as_written(router)
    if is_whole:
        handlers = innermost[0]._exception_handlers, innermost[0]._status_handlers
        plan = replace(plan, handlers=handlers, downstream=partial(ExceptionMiddleware.__call__, innermost[0]))
    is_as_built = is_as_written(Starlette, "__call__") and _is_made_of(outer, around)
    is_direct = is_as_built and is_whole and len(inner) == len(innermost)
    passed = innermost[0] if is_whole and not is_direct else None
    for layer in layers:
        if type(layer) is PassedExceptionMiddleware and layer is not passed:
            layer.close()
    if is_direct:
        return replace(plan, router=router, downstream=stack)
    if passed is not None:
        # Whatever is around it: the user's middleware, or what others put there, as opentelemetry-instrumentation.
        PassedExceptionMiddleware.open(passed, partial(make_entrance, application, router, plan.layers, is_inner=True))
    if not is_as_built:
        return replace(plan, chain=call)
    known = list(takewhile(stand_ins.middleware.knows, inner))
    downstream = inner[len(known) :]
    # Where there is a limit, the user's middleware stands under it, which its layers keep.
    if is_limited or not downstream:
        return plan
    return replace(plan, chain=stand_ins.middleware.chain(application, outer, known, downstream[0]))


def make_entrance(application: Any, router: Any, layers: _core.Witness, *, is_inner: bool) -> _core.Entrance | None:
    """Return an entrance to the table of the router that a stack leads to, None if something stands before that."""
    try:
        entrance: _core.Entrance | None = router._entrance(application, layers, is_inner=is_inner)
    except Exception:
        # A route that cannot be compiled is an error of the application: the middleware stack must meet it, and does,
        # since the router raises it again inside.
        return None
    return entrance


def _is_made_of(layers: list[Any], classes: tuple[type, ...]) -> bool:
    """Tell whether these are layers of these very classes, and nobody has replaced how they are called."""
    found = tuple(ExceptionMiddleware if type(each) is PassedExceptionMiddleware else type(each) for each in layers)
    return found == classes and all(is_as_written(cls, "__call__") for cls in classes)


def _is_router_as_written(router: Any) -> bool:
    return type(router).__call__ is Router.__call__ and is_as_written(Router, "__call__")
