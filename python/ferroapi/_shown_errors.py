"""What of a request's validation errors is sent to the client: all of them where that is short, else a part.

The bound is on the whole answer, and so is the cost: nothing that is too long is written to its end. Unlike FastAPI's,
every answer can be rendered. See docs/differences.md.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import HTTPConnection

from ferroapi import _core

MAXIMUM_ERRORS = 100
"""How many errors of one request are sent to the client; handlers see all."""

LEAST_ANSWER = 16_000
"""How long an answer may be whatever the request, in bytes."""

ANSWER_PER_BYTE = 2
"""How many bytes more it may have for each byte of the request."""

MAXIMUM_DEPTH = 32
"""How many levels of an input that cannot be rendered as it is are sent."""

_LONGEST_NEAREST = 8_192
"""How much of all inputs of an answer that cannot be rendered as they are is sent, in characters and items."""

_OUTLINE = {"type": 1, "loc": 20, "msg": 1}
"""What is sent of an error whose own text is too long, with the most parts that each has."""

_KEYS = {"type", "loc", "msg", "input", "ctx", "url"}
"""What pydantic says of an error."""

_LONGEST_PART = 100
"""The length of such a part, in characters; all parts together are shorter than the least answer."""

_UNRENDERABLE = (ValueError, TypeError, RecursionError)
"""What is raised for a value without a JSON form: NaN, a lone surrogate, bytes, a very long number, deep nesting."""


def encoded_errors(errors: Sequence[Any]) -> bytes | None:
    """Return the errors as the JSON of an answer, None if that is long or has no JSON form."""
    try:
        return _core.encode_json_within({"detail": errors}, LEAST_ANSWER)
    except _UNRENDERABLE:
        return None


def answer_limit(body_size: int, connection: Any) -> int:
    """Return how many bytes the answer to a request may have; whoever calls a handler may give it any connection."""
    scope: Any = connection.scope if isinstance(connection, HTTPConnection) else {}
    texts = (scope.get("path"), scope.get("query_string"))
    head_size = sum(len(text) for text in texts if isinstance(text, str | bytes)) + _headers_size(scope.get("headers"))
    return LEAST_ANSWER + ANSWER_PER_BYTE * (body_size + head_size)


def _headers_size(headers: Any) -> int:
    if not isinstance(headers, list | tuple):
        return 0
    try:
        return sum(map(len, chain.from_iterable(headers)))
    except TypeError:
        # Something is no pair, or no text: it is not as servers have it, and does not count.
        pairs = (pair for pair in headers if isinstance(pair, tuple | list))
        return sum(len(text) for text in chain.from_iterable(pairs) if isinstance(text, str | bytes))


def form_size(form: FormData) -> int:
    """Return what a form had at least in its request, in bytes."""
    sizes = (len(value) if isinstance(value, str) else value.size or 0 for _, value in form.multi_items())
    return sum(map(len, form)) + sum(sizes)


class _Texts:
    """Values as JSON; each is written once, and to the end only if there is room for it."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}
        self._too_long: dict[int, int] = {}

    def of(self, value: Any, room: int) -> bytes | None:
        """Return the text, None if it is longer than `room` or the value has no JSON form."""
        text = self._known.get(id(value))
        if text is None and room > self._too_long.get(id(value), -1):
            try:
                text = _core.encode_json_within(value, room)
            except _UNRENDERABLE:
                room = sys.maxsize
            if text is None:
                self._too_long[id(value)] = room
            else:
                self._known[id(value)] = text
        return text if text is not None and len(text) <= room else None

    def of_error(self, error: Any) -> bytes:
        """Return the text of an error that is sent, of which a long input was written before."""
        if not _has_input(error) or not error.keys() <= _KEYS:
            return _core.encode_json(error)
        items = (
            _core.encode_json(key) + b":" + (self._known.get(id(item)) or _core.encode_json(item))
            for key, item in error.items()
        )
        return b"{" + b",".join(items) + b"}"


def errors_within(errors: Sequence[Any], limit: int) -> tuple[list[Any], bytes]:
    """Return the errors if they can be rendered, and are at most `limit` bytes as JSON; else what of them is.

    The JSON of the answer comes with them. First of all come the errors without their inputs, as many as there is room
    for. Then each input is shown with the first of its errors, a short one with all of them, up to one that does not
    fit.
    """
    texts = _Texts()
    bare_errors = [_without_input(error) for error in errors]
    shown = _shown(errors, bare_errors, limit - len('{"detail":[]}'), texts)
    return shown, b'{"detail":[' + b",".join(map(texts.of_error, shown)) + b"]}"


def _shown(errors: Sequence[Any], bare_errors: Sequence[Any], room: int, texts: _Texts) -> list[Any]:
    if _fit(errors, bare_errors, room, texts):
        return list(errors)
    shown: list[Any] = []
    are_short = True
    for bare in bare_errors:
        text = texts.of(bare, room) if are_short else None
        if text is None:
            # The others are likely to be as long, and none is read to its end in vain.
            are_short = False
            bare = _outline(bare)
            text = _Texts().of(bare, room)
        if text is None:
            break
        room -= len(text) + len(",")
        shown.append(bare)
    _add_inputs(errors, shown, room, texts)
    return shown


def _without_input(error: Any) -> Any:
    return {key: item for key, item in error.items() if key != "input"} if _has_input(error) else error


def _has_input(error: Any) -> bool:
    return isinstance(error, Mapping) and "input" in error


def _fit(errors: Sequence[Any], bare_errors: Sequence[Any], room: int, texts: _Texts) -> bool:
    for error, bare in zip(errors, bare_errors, strict=True):
        text = texts.of(bare, room)
        if text is None:
            return False
        room -= len(text) + len(",")
        if bare is not error:
            text = texts.of(error["input"], room)
            if text is None:
                return False
            room -= len(text) + len(',"input":')
    return room >= 0


def _text(value: Any) -> str:
    """Return what an object prints, or its class if it cannot be printed: a list of an integer of 5,000 digits."""
    try:
        return str(value)
    except _UNRENDERABLE:
        return f"<{type(value).__name__}>"


def _outline(error: Any) -> Any:
    if not isinstance(error, Mapping):
        return _text(error)[:_LONGEST_PART].encode("utf-8", "backslashreplace").decode()
    outline: dict[str, Any] = {}
    for key, most in _OUTLINE.items():
        if key in error:
            item = error[key]
            parts = item[:most] if isinstance(item, tuple | list) else [item]
            nearest = _Nearest(most * (_LONGEST_PART + 1))
            texts = [nearest.of(part if type(part) is int else _text(part)[:_LONGEST_PART]) for part in parts]
            outline[key] = texts if isinstance(item, tuple | list) else texts[0]
    return outline


def _add_inputs(errors: Sequence[Any], shown: list[Any], room: int, texts: _Texts) -> None:
    """Put inputs into the errors that are shown, as far as there is room for them."""
    seen: set[int] = set()
    nearest: _Nearest | None = None
    for index, (error, bare) in enumerate(zip(errors, shown, strict=False)):
        if not _has_input(error) or id(error["input"]) in seen:
            continue
        value = error["input"]
        room -= len(',"input":')
        text = None if nearest else texts.of(value, room)
        if text is None:
            # It is too long, or has no JSON form. To tell, and to go on, costs no more than what is sent.
            nearest = nearest or _Nearest(min(room, _LONGEST_NEAREST))
            try:
                value = nearest.of(value)
            except _TooLong:
                return
            text = _Texts().of(value, room)
        if text is None:
            return
        room -= len(text)
        if len(text) > _LONGEST_PART:
            seen.add(id(error["input"]))
        shown[index] = {key: value if key == "input" else bare[key] for key in error if key == "input" or key in bare}


class _TooLong(Exception):
    """More was to be shown than there is room for."""


class _Nearest:
    """Makes of values the nearest ones that JSON in UTF-8 can express, up to so many characters and items in all."""

    def __init__(self, room: int) -> None:
        self.room = room

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return the nearest value.

        Raises:
            _TooLong: there is no room for it.
        """
        self.room -= 1 + (len(value) if isinstance(value, str | bytes) else 0)
        if self.room < 0:
            raise _TooLong
        match value:
            case None | bool():
                return value
            case int():
                # Python refuses to print integers of more than 4,300 digits.
                return value if value.bit_length() < 10_000 else f"an integer of {value.bit_length()} bits"
            case float():
                # The words of pydantic's `inf_nan_mode="strings"`.
                return value if math.isfinite(value) else "NaN" if value != value else f"{'-' * (value < 0)}Infinity"
            case str():
                return value.encode("utf-8", "backslashreplace").decode()
            case bytes():
                return value.decode("utf-8", "backslashreplace")
            case _ if depth == MAXIMUM_DEPTH:
                return "..."
            case Mapping():
                return {str(self.of(key, depth + 1)): self.of(item, depth + 1) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.of(item, depth + 1) for item in value]
            case _:
                return self.of(_text(value))
