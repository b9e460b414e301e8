"""Read a multipart form where FastAPI reads one: the parsing is Starlette's, what is refused is decided here.

Differs from FastAPI on purpose, see docs/differences.md: half a form is no form, and not every codec is a charset.
"""

import codecs
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import cache
from typing import Any, cast

from starlette import formparsers, requests
from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ferroapi import _core
from ferroapi._witness import Part

# Names that Starlette finds in its module, where they may have been replaced.
_names: Any = requests
_parsers: Any = formparsers

TRUNCATED = "The multipart body ends before its closing boundary."

_CALLBACKS = (
    "on_part_begin",
    "on_part_data",
    "on_part_end",
    "on_header_field",
    "on_header_value",
    "on_header_end",
    "on_headers_finished",
    "on_end",
)
"""What python-multipart calls, and Starlette's parser has under the same names."""

_LONGEST_MEDIA_TYPE = 8192
"""How much python-multipart is asked to read, in bytes; it takes a microsecond for each behind a semicolon."""

_REPLACEMENT = "latin-1"
"""What stands for a charset that is no text, as Starlette has it for one that Python does not know."""


@cache
def _charsets() -> frozenset[str]:
    """Return the charsets that browsers send and read, and what Python calls the Unicode encodings.

    Made for the first form that names one: looking a codec up imports it.
    Source: WHATWG Encoding Standard, 4.2 Names and labels.
    """
    names = (
        *("ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"),
        *(f"iso8859-{part}" for part in range(1, 17) if part != 12),
        *(f"cp{page}" for page in (437, 850, 852, 866, 874, 932, 949, 950, *range(1250, 1259))),
        *("koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "tis-620"),
        *("gb2312", "gbk", "gb18030", "big5", "big5hkscs", "euc-jp", "iso2022-jp", "shift-jis", "euc-kr"),
    )
    return frozenset(codecs.lookup(name).name for name in names)


def _is_charset(name: str) -> bool:
    """Tell whether a codec is one that text is sent in; before 1.8 Starlette leaves its name as the client wrote it."""
    try:
        return codecs.lookup(name).name in _charsets()
    except LookupError:
        return False


class WholeFormParser(MultiPartParser):
    """Starlette's parser, which also notes whether the body came to its end."""

    _has_begun = False
    _has_ended = False

    def on_part_begin(self) -> None:
        """Decode names and values by a charset, or as Starlette does where the client's is unknown."""
        self._has_begun = True
        if self._charset != "utf-8" and not _is_charset(self._charset):
            self._charset = _REPLACEMENT
        super().on_part_begin()

    def on_end(self) -> None:
        """Note the closing boundary."""
        self._has_ended = True
        super().on_end()

    def begin(self) -> Any:
        """Return python-multipart's parser, which calls this one.

        Raises:
            HTTPException: 400, the media type has no boundary.
        """
        options = _parsers.parse_options_header(self.headers["content-type"])[1]
        if b"boundary" not in options:
            raise HTTPException(status_code=400, detail="Missing boundary in multipart.")
        charset = options.get(b"charset", b"utf-8").decode("latin-1")
        try:
            self._charset = codecs.lookup(charset).name
        except LookupError:
            self._charset = _REPLACEMENT
        return _parsers.multipart.MultipartParser(
            options[b"boundary"], {name: getattr(self, name) for name in _CALLBACKS}
        )

    async def parse(self) -> FormData:
        """Return the form.

        Raises:
            MultiPartException: the body is not multipart, goes past a limit, or is cut off.
        """
        # Where the end is missing, Starlette closes the files of what came before, as for any other mistake.
        self.stream = cast(Any, _ToItsEnd(self.stream, self.check_end))
        return await super().parse()

    def check_end(self) -> None:
        """Refuse a body that is over.

        Raises:
            MultiPartException: it has begun, and is cut off.
        """
        if self._has_begun and not self._has_ended:
            raise MultiPartException(TRUNCATED)


class _ToItsEnd:
    """The pieces of a body, and a check when there are no more."""

    def __init__(self, pieces: AsyncIterator[bytes], check_end: Callable[[], None]) -> None:
        self._pieces = pieces
        self._check_end = check_end

    def __aiter__(self) -> "_ToItsEnd":
        return self

    async def __anext__(self) -> bytes:
        async for piece in self._pieces:
            return piece
        self._check_end()
        raise StopAsyncIteration


def _is_starlettes(request: Request) -> bool:
    """Whether nobody put something else in the place of `request.form()` or its parser."""
    return (
        getattr(request, "_form", None) is None
        and not _core.is_replaced(Part.MULTIPART)
        and type(request).form is Request.form
        and getattr(type(request), "_get_form", None) is getattr(Request, "_get_form", None)
        # One of its own is read as often as by `form()` alone.
        and type(request).headers is Request.headers
    )


def multipart_type(request: Request) -> str | None:
    """Return the media type of a multipart form without what means nothing to its parser, None for any other body,
    and for a form that something else than Starlette's parser reads.

    Raises:
        HTTPException: 400, it is so long that reading it takes too much time.
    """
    if not _is_starlettes(request):
        return None
    # Which media types are multipart is for the installed python-multipart to say; without it Starlette raises.
    parse = _names.parse_options_header
    sent = request.headers.get("content-type")
    if parse is None or sent is None:
        return None
    media_type = _core.form_media_type(sent.encode("latin-1")).decode("latin-1")
    if len(media_type) > _LONGEST_MEDIA_TYPE and ";" in media_type:
        raise HTTPException(status_code=400, detail="The media type of the form is too long.")
    return media_type if parse(media_type)[0] == b"multipart/form-data" else None


async def read_form(request: Request, limits: Mapping[str, Any]) -> FormData:
    """Return the form of a request, and keep it there for `request.form()`.

    Raises:
        HTTPException: 400, the form is malformed, goes past a limit, or is a multipart body that is cut off.
    """
    media_type = multipart_type(request)
    if media_type is None:
        return await request.form(**limits)
    try:
        async with aclosing(request.stream()) as stream:
            form = await WholeFormParser(Headers({"content-type": media_type}), stream, **limits).parse()
    except MultiPartException as error:
        raise HTTPException(status_code=400, detail=error.message) from error
    request._form = form
    return form
