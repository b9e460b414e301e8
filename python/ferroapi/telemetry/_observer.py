"""What the driver tells of a request under way: the data of it, and the spans of its operations.

One observer belongs to one request, and none is made for a request that nobody records.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.websockets import WebSocket

from ferroapi.telemetry._api import (
    TelemetryData,
    _get_request_telemetry,
    _operation,
    _RequestTelemetry,
    _run_sync_endpoint,
    _TracedOperation,
)

Endpoint = Callable[..., Any]


class _Dependant(Protocol):
    call: Endpoint | None


class Operation(Protocol):
    """What a plan was compiled from."""

    dependant: _Dependant


class RequestObserver:
    """Records one request as the driver runs it.

    Source: FastAPI behaviour, `routing.get_request_handler` and `get_websocket_app`.
    """

    __slots__ = ("_function", "_operation", "_telemetry")

    def __init__(self, telemetry: _RequestTelemetry, function: Endpoint) -> None:
        self._telemetry = telemetry
        self._function = function
        self._operation: _TracedOperation | None = None

    def solving(self, connection: Request | WebSocket, body: Any) -> None:
        """Begin with the dependencies of a connection whose body is read."""
        self._note_connection(connection)
        if (data := self._telemetry.data) is not None and isinstance(connection, Request):
            data.body = body
        self._begin("dependencies")

    def solved(self, values: dict[str, Any], errors: Sequence[Any]) -> None:
        """End with the dependencies."""
        if (data := self._telemetry.data) is not None:
            data.values = values
            data.errors = errors
        self._end()

    async def call(self, values: dict[str, Any]) -> Any:
        """Call an endpoint that is a coroutine function."""
        with _operation(name="endpoint", function=self._function):
            return await self._function(**values)

    def call_plain(self, values: dict[str, Any]) -> Any:
        """Call an endpoint that is a plain function, in its worker thread."""
        return _run_sync_endpoint(function=self._function, arguments=values)

    def serializing(self) -> None:
        """Begin with the serialization of what the endpoint has returned."""
        self._begin("serialization")

    def serialized(self) -> None:
        """End with it."""
        self._end()

    def failed(self, error: BaseException, connection: Request | WebSocket | None) -> None:
        """End what was begun, with the exception that it has failed with."""
        if connection is not None:
            self._note_connection(connection)
        if (operation := self._operation) is not None:
            self._operation = None
            operation.__exit__(type(error), error, error.__traceback__)

    def _note_connection(self, connection: Request | WebSocket) -> None:
        data: TelemetryData | None = self._telemetry.data
        if data is None:
            return
        if isinstance(connection, Request):
            data.request = connection
        else:
            data.websocket = connection

    def _begin(self, name: str) -> None:
        if (tracer := self._telemetry.tracer) is not None:
            operation = _TracedOperation(tracer, name, self._function)
            operation.__enter__()
            self._operation = operation

    def _end(self) -> None:
        if (operation := self._operation) is not None:
            self._operation = None
            operation.__exit__(None, None, None)


def observe(operation: Operation) -> RequestObserver | None:
    """Return the observer of the running request, None if nobody records it."""
    telemetry = _get_request_telemetry()
    function = operation.dependant.call
    return None if telemetry is None or function is None else RequestObserver(telemetry, function)
