"""The middleware that stands around drawn applications, by name."""

from collections.abc import Callable
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse


class PassThrough:
    """A middleware that does nothing, written as ASGI."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Marking(BaseHTTPMiddleware):
    """A middleware as a class, which leaves something for the endpoint and in the answer."""

    async def dispatch(self, request: Any, call_next: Any) -> Any:
        request.state.marked = True
        response = await call_next(request)
        response.headers.append("x-marked", str(response.status_code))
        return response


async def pass_on(request: Any, call_next: Any) -> Any:
    """A middleware that does nothing, as a function."""
    return await call_next(request)


async def change(request: Any, call_next: Any) -> Any:
    """Change the status, a header and add a cookie."""
    response = await call_next(request)
    response.headers["x-changed"] = request.url.path.encode("ascii", "replace").decode()
    response.set_cookie("changed", "1")
    if response.status_code == 200:
        response.status_code = 206
    return response


async def answer(request: Any, call_next: Any) -> Any:
    """Answer without the application where a key is shown."""
    if "x-key" in request.headers:
        return PlainTextResponse("answered before", 203)
    return await call_next(request)


async def read_before(request: Any, call_next: Any) -> Any:
    """Read the body, and let the application read it again."""
    body = await request.body()
    response = await call_next(request)
    response.headers["x-length"] = str(len(body))
    return response


async def catch(request: Any, call_next: Any) -> Any:
    """Answer for exceptions that nobody took."""
    try:
        return await call_next(request)
    except Exception as error:
        return PlainTextResponse(f"caught {type(error).__name__}", 599)


async def fail_after(request: Any, call_next: Any) -> Any:
    """Raise where the answer is not what was hoped for."""
    response = await call_next(request)
    if response.status_code >= 400:
        raise RuntimeError(f"answered {response.status_code}")
    return response


async def consume(request: Any, call_next: Any) -> Any:
    """Read the answer, and give another with the same bytes."""
    response = await call_next(request)
    body = b"".join([chunk async for chunk in response.body_iterator])
    headers = dict(response.headers)
    return PlainTextResponse(body, response.status_code, headers, background=response.background)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "http": pass_on,
    "http changes": change,
    "http answers": answer,
    "http reads": read_before,
    "http catches": catch,
    "http fails": fail_after,
    "http consumes": consume,
}
CLASSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "asgi": (PassThrough, {}),
    "class": (Marking, {}),
    "cors": (CORSMiddleware, {"allow_origins": ["https://a.example"], "allow_methods": ["GET", "POST"]}),
    "cors all": (CORSMiddleware, {"allow_origins": ["*"], "allow_headers": ["*"], "expose_headers": ["x-key"]}),
    "cors credentials": (
        CORSMiddleware,
        {
            "allow_origins": ["*"],
            "allow_methods": ["*"],
            "allow_credentials": True,
            "allow_headers": ["X-Key"],
            "max_age": 5,
        },
    ),
    "cors expression": (CORSMiddleware, {"allow_origin_regex": r"https://.*\.example", "allow_private_network": True}),
    "gzip": (GZipMiddleware, {"minimum_size": 30}),
    "gzip fast": (GZipMiddleware, {"minimum_size": 0, "compresslevel": 1}),
    "trusted host": (TrustedHostMiddleware, {"allowed_hosts": ["testserver", "*.example"], "www_redirect": True}),
    "https": (HTTPSRedirectMiddleware, {}),
}
KINDS = [*FUNCTIONS, *CLASSES]


def add(app: Any, kind: str) -> None:
    """Add the middleware of this name to an application."""
    if kind in FUNCTIONS:
        app.middleware("http")(FUNCTIONS[kind])
    else:
        class_, options = CLASSES[kind]
        app.add_middleware(class_, **options)
