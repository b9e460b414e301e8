"""Lifespans of routers: which context manager a router runs, and how an included router's joins it."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from functools import wraps
from typing import Any, Protocol, Self, TypeVar

from starlette.types import Lifespan

Value = TypeVar("Value")


class _EventRouter(Protocol):
    async def _startup(self) -> None: ...

    async def _shutdown(self) -> None: ...


class _DefaultLifespan:
    """The lifespan of a router that was given none: its startup and shutdown handlers."""

    def __init__(self, router: _EventRouter) -> None:
        self._router = router

    async def __aenter__(self) -> None:
        await self._router._startup()

    async def __aexit__(self, *exc_info: object) -> None:
        await self._router._shutdown()

    def __call__(self, app: object) -> Self:
        return self


class _AsyncLiftContextManager(AbstractAsyncContextManager[Value]):
    """A synchronous context manager entered and left from a coroutine."""

    def __init__(self, cm: AbstractContextManager[Value]) -> None:
        self._cm = cm

    async def __aenter__(self) -> Value:
        return self._cm.__enter__()

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        return self._cm.__exit__(*exc_info)


def _wrap_gen_lifespan_context(lifespan_context: Callable[[Any], Any]) -> Lifespan[Any]:
    """Turn a plain generator function into a lifespan."""
    open_context = contextmanager(lifespan_context)

    @wraps(open_context)
    def lifespan(app: Any) -> AbstractAsyncContextManager[Any]:
        return _AsyncLiftContextManager(open_context(app))

    return lifespan


def resolve_lifespan(router: _EventRouter, lifespan: Any | None) -> Lifespan[Any]:
    """Return the context manager factory for whatever form of lifespan a router was given.

    Source: FastAPI behaviour, `routing.APIRouter.__init__` (generator functions without Starlette's warning).
    """
    if lifespan is None:
        return _DefaultLifespan(router)
    if inspect.isasyncgenfunction(lifespan):
        return asynccontextmanager(lifespan)
    if inspect.isgeneratorfunction(lifespan):
        return _wrap_gen_lifespan_context(lifespan)
    resolved: Lifespan[Any] = lifespan
    return resolved


def _merge_lifespan_context(original_context: Lifespan[Any], nested_context: Lifespan[Any]) -> Lifespan[Any]:
    """Run the nested lifespan inside the original one; the original's state wins on equal keys."""

    @asynccontextmanager
    async def merged_lifespan(app: Any) -> AsyncIterator[Any]:
        async with original_context(app) as outer_state, nested_context(app) as inner_state:
            if outer_state is None and inner_state is None:
                yield None
            else:
                yield {**(inner_state or {}), **(outer_state or {})}

    return merged_lifespan
