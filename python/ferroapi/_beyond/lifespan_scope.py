"""Dependencies that live as long as the application: `Depends(pool, scope="lifespan")`.

`_analyze` asks for the node of one. The engine finds the value that an application has by `LifespanValue.find`; where
there is none, it is a generator dependency of the request, which makes the value.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from pydantic_core import PydanticUndefined
from starlette.requests import HTTPConnection, Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferroapi._engine.reference.solve import _call
from ferroapi._routing.include import iter_route_contexts
from ferroapi.concurrency import _DependencyConcurrency
from ferroapi.dependencies._analyze import get_dependant
from ferroapi.dependencies.models import Dependant, _request_params
from ferroapi.exceptions import DependencyScopeError

from .jobs import Job

KEY = "ferroapi.lifespan_values"

_Overrides = Mapping[Any, Callable[..., Any]]

# The values of each application that runs, by its event loop: for what has no scope of a connection, and for servers
# that pass no state on.
_running: MutableMapping[Any, dict[Any, "LifespanValues"]] = WeakKeyDictionary()

# The dependency that is being called where this is asked.
_calling: ContextVar["_Call | None"] = ContextVar("calling", default=None)


def lifespan_dependant(
    call: Callable[..., Any], path: str, name: str | None, use_cache: bool, concurrency: _DependencyConcurrency | None
) -> Dependant:
    """Return the node that stands for a dependency of the scope "lifespan" in the graph of a request.

    Raises:
        DependencyScopeError: it needs what only a request has, or a dependency of another scope.
    """
    value = call if isinstance(call, LifespanValue) else LifespanValue(call, path, concurrency)
    return Dependant(
        call=value,
        name=name,
        path=path,
        use_cache=use_cache,
        scope="lifespan",
        http_connection_param_name="connection",
    )


def request_arguments(dependant: Dependant) -> Iterator[str]:
    """Yield the names of the parameters of one callable whose values only a request has."""
    yield from (field.name for field in (*_request_params(dependant), *dependant.body_params))
    specials = (
        dependant.request_param_name,
        dependant.websocket_param_name,
        dependant.http_connection_param_name,
        dependant.response_param_name,
        dependant.background_tasks_param_name,
    )
    yield from filter(None, specials)


class LifespanValue:
    """A dependency of the scope "lifespan", called for each request that takes its value.

    It is equal to the callable that was declared, so that this is what overrides name.
    """

    def __init__(self, call: Callable[..., Any], path: str, concurrency: _DependencyConcurrency | None) -> None:
        self.call = call
        self.dependant = get_dependant(path=path, call=call, concurrency=concurrency)
        name = _name(call)
        for argument in request_arguments(self.dependant):
            raise DependencyScopeError(
                f'The dependency "{name}" has a scope of "lifespan", its parameter "{argument}" is something that only '
                "a request has."
            )
        for child in self.dependant.dependencies:
            if not isinstance(child.call, LifespanValue):
                raise DependencyScopeError(
                    f'The dependency "{name}" has a scope of "lifespan", it cannot depend on "{_name(child.call)}", '
                    f'which has a scope of "{child.scope or "request"}".'
                )

    def __eq__(self, other: object) -> bool:
        return bool(self.call == (other.call if isinstance(other, LifespanValue) else other))

    def __hash__(self) -> int:
        return hash(self.call)

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What two values share that are one where nothing is overridden."""
        return _key(self, {})

    def find(self, scope: Scope) -> Any:
        """Return the value that the application has, `PydanticUndefined` where it has yet to be made."""
        if (values := find_values(scope)) is None:
            return PydanticUndefined
        return values.find(self, getattr(scope.get("app"), "dependency_overrides", {}))

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[Any]:
        """Yield the value that the application has; where its lifespan does not run, one for this request."""
        scope = connection.scope
        overrides = getattr(scope.get("app"), "dependency_overrides", {})
        values = find_values(scope)
        # A dependency that is being called waits for what it asks for, and the values of its application for it.
        if values is not None and all(call.values is not values for call in _calls_around()):
            yield await values.get(self, overrides)
            return
        before = {KEY: scope[KEY]} if KEY in scope else {}
        async with LifespanValues() as values:
            scope[KEY] = values
            try:
                yield await values.get(self, overrides)
            finally:
                del scope[KEY]
                scope.update(before)


class LifespanValues:
    """The values of an application that runs. Each is made once; they are closed in reverse order.

    Both is done by the task of the lifespan, while that waits in `serve_until`: a cancel scope that a dependency has
    entered can be left by no other.
    """

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}
        self._lock = anyio.Lock()
        self._stack = AsyncExitStack()
        self._calls: MemoryObjectSendStream[_Call | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: Any) -> bool | None:
        self._values.clear()
        return await self._stack.__aexit__(*exception)

    def find(self, value: LifespanValue, overrides: _Overrides) -> Any:
        """Return a value, `PydanticUndefined` if there is none."""
        return self._values.get(_key(value, overrides) if overrides else value.key, PydanticUndefined)

    async def get(self, value: LifespanValue, overrides: _Overrides) -> Any:
        """Return a value, which is made if there is none.

        Raises:
            Exception: what the dependency raised; it is called again by the next one who asks.
            DependencyScopeError: it is being called, and what it calls asks for it.
        """
        key = _key(value, overrides)
        if key not in self._values:
            if any(key == call.key for call in _calls_around()):
                raise DependencyScopeError(f'The dependency "{_name(value)}" asks for itself while it is called.')
            children = [(child.name, _overridden(child.call, overrides)) for child in value.dependant.dependencies]
            arguments = {name: await self.get(child, overrides) for name, child in children if name is not None}
            async with self._lock:
                if key not in self._values:
                    self._values[key] = await self._make(_Call(key, self, value.dependant, arguments))
        return self._values[key]

    async def _make(self, call: "_Call") -> Any:
        if self._calls is None:
            await call.run(self._stack)
        else:
            await self._calls.send(call)
            await call.ended.wait()
        if call.exception is not None:
            raise call.exception
        return call.value

    async def serve_until(self, receive: Receive) -> Message:
        """Make the values that other tasks ask for until there is a message, and return that."""
        self._calls, calls = anyio.create_memory_object_stream[_Call | None](math.inf)
        messages: list[Message] = []

        async def read() -> None:
            try:
                messages.append(await receive())
            finally:
                send.send_nowait(None)

        send, job = self._calls, Job(read)
        job.start()
        try:
            while (call := await calls.receive()) is not None:
                await call.run(self._stack)
        finally:
            self._calls = None
            if not job.has_ended:
                await job.cancel()
            send.close()
            calls.close()
        if job.exception is not None:
            raise job.exception
        return messages[0]


class _Call:
    """A dependency that is to be called, and what came of it."""

    def __init__(
        self, key: tuple[Any, ...], values: LifespanValues, dependant: Dependant, arguments: dict[str, Any]
    ) -> None:
        self.key = key
        self.values = values
        self.around = _calling.get()
        self.ended = anyio.Event()
        self.value: Any = None
        self.exception: Exception | None = None
        self._dependant = dependant
        self._arguments = arguments

    async def run(self, stack: AsyncExitStack) -> None:
        # What closes asynchronous generators keeps its cancel scope in the scope of a request.
        request = Request({"type": "http", "fastapi_inner_astack": stack})
        token = _calling.set(self)
        try:
            self.value = await _call(self._dependant, self._arguments, request, stack)
        except Exception as exception:
            self.exception = exception
        finally:
            _calling.reset(token)
            self.ended.set()


def _calls_around() -> Iterator[_Call]:
    """Yield the dependencies that are being called and have led here, the last one first."""
    call = _calling.get()
    while call is not None:
        # A task that a dependency has started keeps its context.
        if not call.ended.is_set():
            yield call
        call = call.around


def _key(value: LifespanValue, overrides: _Overrides) -> tuple[Any, ...]:
    """What two values must share to be one: the callable, and those that it depends on while these overrides hold."""
    children = (_overridden(child.call, overrides) for child in value.dependant.dependencies)
    return (value.call, *(_key(child, overrides) for child in children))


def _overridden(declared: Any, overrides: _Overrides) -> LifespanValue:
    call = overrides.get(declared, declared) if overrides else declared
    return call if isinstance(call, LifespanValue) else LifespanValue(call, "", None)


def find_values(scope: Scope) -> LifespanValues | None:
    """Return the values for a connection; None where no lifespan runs."""
    found = scope.get(KEY) or (scope.get("state") or {}).get(KEY)
    return cast("LifespanValues | None", found) or running_values(scope.get("app"))


def running_values(app: Any) -> LifespanValues | None:
    """Return the values of an application whose lifespan runs in the current event loop."""
    return _running.get(app, {}).get(_current_loop()) if app is not None else None


def with_values(app: Any, call: ASGIApp) -> ASGIApp:
    """Return an application that opens the values when `call` has started, and closes them before it is stopped.

    Raises:
        Exception: by that application, what a dependency raised: `call` says that it did not start, or stop.
    """

    # No coroutine of its own: it would be a frame in each traceback of a lifespan.
    def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        values = LifespanValues()
        loops = _running.setdefault(app, {})
        loop = _current_loop()

        async def close() -> None:
            if loops.pop(loop, None) is not None:
                scope.get("state", {}).pop(KEY, None)
            await values.__aexit__(None, None, None)

        async def receive_and_close() -> Message:
            try:
                message = await (values.serve_until(receive) if loop in loops else receive())
            except BaseException:
                await close()
                raise
            if message["type"] == "lifespan.shutdown":
                await close()
            return message

        async def open_and_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                declared = list(_declared(app))
                try:
                    for value, overrides in declared if app.lifespan_dependencies == "startup" else ():
                        await values.get(value, overrides)
                except BaseException:
                    await close()
                    raise
                loops[loop] = values
                if declared and "state" in scope:
                    scope["state"][KEY] = values
            await send(message)

        return call(scope, receive_and_close, open_and_send)

    return serve


def _declared(app: Any) -> Iterator[tuple[LifespanValue, _Overrides]]:
    """Yield what the routes of an application and of those mounted in it depend on, in the order of routes."""
    overrides = getattr(app, "dependency_overrides", {})
    for context in iter_route_contexts(app.routes):
        if isinstance(context.route, Mount):
            if hasattr(context.route.app, "routes"):
                yield from _declared(context.route.app)
            continue
        waiting = list(getattr(getattr(context, "dependant", None), "dependencies", ()))
        while waiting:
            node = waiting.pop(0)
            if isinstance(node.call, LifespanValue):
                yield _overridden(node.call, overrides), overrides
            else:
                waiting[:0] = node.dependencies


def _current_loop() -> Any:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return anyio.lowlevel.current_token()


def _name(call: Any) -> str:
    call = call.call if isinstance(call, LifespanValue) else call
    return getattr(call, "__name__", None) or type(call).__name__
