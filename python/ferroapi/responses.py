"""Starlette's responses under FastAPI's name, and two deprecated ones that render with orjson or ujson."""

import importlib
from types import ModuleType
from typing import Any, Final

from starlette.responses import FileResponse as FileResponse
from starlette.responses import HTMLResponse as HTMLResponse
from starlette.responses import JSONResponse as JSONResponse
from starlette.responses import PlainTextResponse as PlainTextResponse
from starlette.responses import RedirectResponse as RedirectResponse
from starlette.responses import Response as Response
from starlette.responses import StreamingResponse as StreamingResponse
from typing_extensions import deprecated

from ferroapi.exceptions import FastAPIDeprecationWarning
from ferroapi.sse import EventSourceResponse as EventSourceResponse

_DEPRECATION: Final = (
    " is deprecated, FastAPI now serializes data directly to JSON bytes via Pydantic when a return type or response"
    " model is set, which is faster and doesn't need a custom response class. Read more in the FastAPI docs:"
    " https://fastapi.tiangolo.com/advanced/custom-response/#orjson-or-response-model"
    " and https://fastapi.tiangolo.com/tutorial/response-model/"
)

_OPTIONAL_PACKAGES = ("ujson", "orjson")


def __getattr__(name: str) -> ModuleType | None:
    """Import `ujson` or `orjson` when first asked for; None where it is not installed."""
    if name not in _OPTIONAL_PACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        package: ModuleType | None = importlib.import_module(name)
    except ModuleNotFoundError:
        package = None
    globals()[name] = package
    return package


def _package(name: str, user: object) -> Any:
    # Through globals first, so that a test or an application can put another module, or None, in its place.
    package = globals()[name] if name in globals() else __getattr__(name)
    assert package is not None, f"{name} must be installed to use {type(user).__name__}"
    return package


@deprecated(f"UJSONResponse{_DEPRECATION}", category=FastAPIDeprecationWarning, stacklevel=2)
class UJSONResponse(JSONResponse):
    """JSON rendered by ujson. Deprecated: a response model is faster."""

    def render(self, content: Any) -> bytes:
        """Return `content` as JSON in UTF-8."""
        text: str = _package("ujson", self).dumps(content, ensure_ascii=False)
        return text.encode()


@deprecated(f"ORJSONResponse{_DEPRECATION}", category=FastAPIDeprecationWarning, stacklevel=2)
class ORJSONResponse(JSONResponse):
    """JSON rendered by orjson. Deprecated: a response model is faster."""

    def render(self, content: Any) -> bytes:
        """Return `content` as JSON in UTF-8; keys of any type and NumPy arrays are accepted."""
        orjson = _package("orjson", self)
        rendered: bytes = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
        return rendered
