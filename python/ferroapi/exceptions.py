"""The exceptions; the extension imports them from here. Their default answers are in `exception_handlers`."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict
from weakref import WeakKeyDictionary

from pydantic import BaseModel, create_model
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.exceptions import WebSocketException as StarletteWebSocketException
from starlette.requests import HTTPConnection

RequestErrorModel: type[BaseModel] = create_model("Request")
WebSocketErrorModel: type[BaseModel] = create_model("WebSocket")


class EndpointContext(TypedDict, total=False):
    """Where the endpoint that an error belongs to is written."""

    function: str
    """Name of the endpoint function."""
    path: str
    """Method and path template, for example `GET /items/{id}`."""
    file: str
    """Source file of the function."""
    line: int
    """First line of the function, from 1."""


class HTTPException(StarletteHTTPException):
    """Raised by application code to answer with an error status; `detail` may be anything JSON can express."""

    def __init__(self, status_code: int, detail: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status_code=status_code, detail=detail, headers=headers)


class WebSocketException(StarletteWebSocketException):
    """Raised by application code to close a WebSocket with a close code (RFC 6455, section 7.4) and a reason."""

    def __init__(self, code: int, reason: str | None = None) -> None:
        super().__init__(code=code, reason=reason)


class FastAPIError(RuntimeError):
    """The base of errors in how an application is written."""


class DependencyScopeError(FastAPIError):
    """A dependency needs another one that is closed before it."""


class PydanticV1NotSupportedError(FastAPIError):
    """A model of `pydantic.v1` was used."""


class ValidationException(Exception):
    """The base of validation failures: a list of errors and the endpoint they belong to.

    Source: FastAPI behaviour, `exceptions.ValidationException`.
    """

    def __init__(self, errors: Sequence[Any], *, endpoint_ctx: EndpointContext | None = None) -> None:
        context: EndpointContext = endpoint_ctx or {}
        self._errors = errors
        self.endpoint_ctx = endpoint_ctx
        self.endpoint_function = context.get("function")
        self.endpoint_path = context.get("path")
        self.endpoint_file = context.get("file")
        self.endpoint_line = context.get("line")

    def errors(self) -> Sequence[Any]:
        """Return every error, each as pydantic describes it."""
        return self._errors

    def _format_endpoint_context(self) -> str:
        located = self.endpoint_file and self.endpoint_line and self.endpoint_function
        if not located:
            return f"\n  Endpoint: {self.endpoint_path}" if self.endpoint_path else ""
        # The shape of a traceback line, so that editors and terminals turn it into a link.
        source = f'\n  File "{self.endpoint_file}", line {self.endpoint_line}, in {self.endpoint_function}'
        return f"{source}\n    {self.endpoint_path}" if self.endpoint_path else source

    def __str__(self) -> str:
        count = len(self._errors)
        plural = "" if count == 1 else "s"
        lines = "".join(f"  {error}\n" for error in self._errors)
        return f"{count} validation error{plural}:\n{lines}{self._format_endpoint_context()}".rstrip()


class RequestValidationError(ValidationException):
    """The request does not fit the endpoint's parameters; `body` is the body as it was parsed."""

    def __init__(self, errors: Sequence[Any], *, body: Any = None, endpoint_ctx: EndpointContext | None = None) -> None:
        super().__init__(errors, endpoint_ctx=endpoint_ctx)
        self.body = body


_body_sizes: WeakKeyDictionary[RequestValidationError, int] = WeakKeyDictionary()
"""How many bytes the bodies had, for errors that we made. It is no attribute: handlers may answer what `vars` shows."""


def _note_body_size(error: RequestValidationError, size: int) -> None:
    # Another class may stand in the place of FastAPI's.
    if type(error).__hash__ is not None:
        _body_sizes[error] = size


def _body_size(error: RequestValidationError, connection: HTTPConnection) -> int:
    """Return how many bytes the body had, as far as it was read where somebody else has made the error."""
    size = _body_sizes.get(error) if type(error).__hash__ is not None else None
    return _read_size(connection) if size is None else size


def _read_size(connection: HTTPConnection) -> int:
    return len(getattr(connection, "_body", b""))


class WebSocketRequestValidationError(ValidationException):
    """The WebSocket handshake does not fit the endpoint's parameters."""


class ResponseValidationError(ValidationException):
    """The endpoint's result does not fit its response model; `body` is that result."""

    def __init__(self, errors: Sequence[Any], *, body: Any = None, endpoint_ctx: EndpointContext | None = None) -> None:
        super().__init__(errors, endpoint_ctx=endpoint_ctx)
        self.body = body


class FastAPIDeprecationWarning(UserWarning):
    """Warns of something deprecated; a `UserWarning`, because Python hides `DeprecationWarning` outside `__main__`."""
