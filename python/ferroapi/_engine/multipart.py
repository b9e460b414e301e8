"""Multipart forms of native requests: uploaded files of parts that the engine found, Starlette's parser for all else.

The engine's half is `rust/wire/src/multipart.rs`; what is validated and called afterwards is the same either way.
"""

from collections import deque
from collections.abc import Awaitable, Iterable
from typing import Any

from starlette import formparsers
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from ferroapi import _core
from ferroapi._engine.body import read_limited_form, read_sized
from ferroapi._engine.whole_form import read_form
from ferroapi._witness import Part

FormPart = tuple[str, str | tuple[str, bytes, list[tuple[bytes, bytes]]]]
"""A field's name, and its text or its file: name, content, headers."""
Item = tuple[str, str | UploadFile]

# Names that Starlette finds in its module, where they may have been replaced.
_names: Any = formparsers
_PARSER = formparsers.MultiPartParser


def multipart_items(parts: list[FormPart]) -> list[Item] | None:
    """Return the items of a form, None where Starlette's parser has to read it: a large file, or a replaced parser."""
    if _core.is_replaced(Part.MULTIPART):
        return None
    spool_max_size = _PARSER.spool_max_size
    items: list[Item] = []
    for name, value in parts:
        if isinstance(value, str):
            items.append((name, value))
            continue
        filename, content, headers = value
        if spool_max_size and len(content) > spool_max_size:
            return None
        file = _names.SpooledTemporaryFile(max_size=spool_max_size)
        file.write(content)
        file.seek(0)
        upload = _names.UploadFile(file=file, size=len(content), filename=filename, headers=Headers(raw=headers))
        items.append((name, upload))
    return items


async def read_by_starlette(
    scope: Scope, chunks: list[bytes], messages: list[Message], receive: Receive, is_form: bool
) -> FormData | bytes:
    """Return a form, or the bytes of any other body, as Starlette reads them.

    Read are the chunks that were received already, the messages that were received after them, and what follows.

    Raises:
        HTTPException: 400, the form is malformed, cut off, or exceeds a limit.
        ClientDisconnect: the client has left, and what it sent until then is no reason to refuse it.
        Exception: what Starlette raises for a message that is not as servers send it.
    """
    pending = deque(messages)
    pending.extendleft({"type": "http.request", "body": chunk, "more_body": True} for chunk in reversed(chunks))

    async def replay() -> Message:
        return pending.popleft() if pending else await receive()

    request = Request(scope, replay)
    return await read_form(request, {}) if is_form else await request.body()


def read_from_request(request: Request, operation: Any) -> Awaitable[FormData | tuple[Any, int]]:
    """Return a form, or any other body and its size in bytes, as an operation has it read from its `Request`."""
    recipe = operation.body
    return read_limited_form(request, recipe) if recipe.is_form else read_sized(request, recipe)


def uploads(items: Iterable[Item]) -> list[UploadFile]:
    """Return the files among the items of a form."""
    return [value for _, value in items if isinstance(value, UploadFile)]


async def close_files(files: list[UploadFile]) -> None:
    """Close the files of a form, in the order in which they came."""
    for file in files:
        await file.close()


async def close_files_after(awaitable: Awaitable[None], files: list[UploadFile]) -> None:
    """Close the files of a form when the failure of its request has been answered."""
    try:
        await awaitable
    finally:
        await close_files(files)
