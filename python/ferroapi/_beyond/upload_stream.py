"""`file: UploadStream`: a file of a multipart form that the endpoint reads while the client sends it.

The form is read up to the file's headers before dependencies are solved, the rest as the endpoint asks. The parser is
that of `_engine.whole_form`, and accepts the same.
"""

import io
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, BinaryIO, NamedTuple, Union, cast, get_args, get_origin

from starlette import formparsers
from starlette.datastructures import FormData, Headers
from starlette.datastructures import UploadFile as StarletteUploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from ferroapi._compat import ModelField
from ferroapi._engine.whole_form import WholeFormParser, multipart_type, read_form
from ferroapi.datastructures import UploadFile
from ferroapi.dependencies._field import _get_flat_body_params, _get_flat_fields_from_params, request_field
from ferroapi.dependencies.models import Dependant
from ferroapi.exceptions import FastAPIError

# Starlette names python-multipart there, where it is installed.
_names: Any = formparsers


class UploadInterrupted(ClientDisconnect):
    """The client has left before it has sent its form to the end."""


class UploadStream(UploadFile):
    """A file of a multipart form that is read while it is sent: from its start to its end, once.

    Nothing is kept of what has been read, so it cannot be written to, and has no position to go back to.
    """

    def __init__(self, form: "_ArrivingForm", filename: str | None, headers: Headers) -> None:
        # There is no file: what asks for it is told so by an object that can do nothing.
        super().__init__(cast(BinaryIO, io.IOBase()), filename=filename, headers=headers)
        self._form = form
        self._arrived: deque[memoryview] = deque()
        self._is_whole = False
        self._is_dropped = False
        self._received = 0

    async def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, fewer at the end of the file only; all that is left when `size` is negative.

        Raises:
            UploadInterrupted: the client has left.
            HTTPException: 400, the form is malformed, cut off, or goes past a limit; 413, it is too long.
            ValueError: the file is closed.
        """
        pieces: list[memoryview] = []
        missing = size
        try:
            while missing and (piece := await self._next()) is not None:
                if 0 < missing < len(piece):
                    self._arrived.appendleft(piece[missing:])
                    piece = piece[:missing]
                pieces.append(piece)
                missing -= len(piece) if size > 0 else 0
        except BaseException:
            self._arrived.extendleft(reversed(pieces))
            raise
        return b"".join(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the content in pieces as they come, none of them empty; raises what `read` does."""
        while (piece := await self._next()) is not None:
            yield bytes(piece)

    async def files(self) -> AsyncIterator["UploadStream"]:
        """Yield this file, then each that follows under the name of the same field; raises what `read` does.

        What is not read of a file is skipped when the next one is asked for.
        """
        file: UploadStream | None = self
        while file is not None:
            yield file
            file = await self._form.file_after(file)

    @property
    def fields(self) -> FormData:
        """The fields behind the file, as far as they have come: all of them once the last file has been read."""
        return FormData(self._form.behind)

    async def write(self, data: bytes) -> None:
        """Refuse to change what the client sends.

        Raises:
            io.UnsupportedOperation: always.
        """
        raise io.UnsupportedOperation("a file that is read as it arrives cannot be written")

    async def seek(self, offset: int) -> None:
        """Refuse to move: what has been read is gone.

        Raises:
            io.UnsupportedOperation: always.
        """
        raise io.UnsupportedOperation("a file that is read as it arrives has no position to go to")

    async def close(self) -> None:
        """Read no more of the file."""
        self._drop()
        self.file.close()
        await self._form.close()

    @classmethod
    def _validate(cls, __input_value: Any, _: Any) -> "UploadStream":
        if isinstance(__input_value, UploadStream):
            return __input_value
        raise ValueError(f"Expected UploadStream, received: {type(__input_value)}")

    async def _next(self) -> memoryview | None:
        if self.file.closed:
            raise ValueError(f"The file {self.filename!r} is closed")
        while not self._arrived and not self._is_whole:
            await self._form.feed()
        if not self._arrived:
            self._form.check()
            return None
        return self._arrived.popleft()

    def _arrive(self, content: bytes) -> None:
        self._received += len(content)
        if content and not self._is_dropped:
            self._arrived.append(memoryview(content))

    def _end(self) -> None:
        self._is_whole = True
        self.size = self._received

    def _drop(self) -> None:
        self._is_dropped = True
        self._arrived.clear()


class StreamedField(NamedTuple):
    """The file of an operation that is read as it arrives, and what it is declared beside."""

    names: frozenset[str]
    """The names of the file's field."""
    others: frozenset[str]
    """The names of the fields that must come before it."""


def streamed_of(dependant: Dependant, *, is_form: bool) -> StreamedField | None:
    """Return the file that is read as it arrives of a dependency graph, None without one.

    Raises:
        FastAPIError: there are several, or files that are read before, or it is in a list; or the body is declared as
            something else than a form.
    """
    fields = _get_flat_fields_from_params(_get_flat_body_params(dependant))
    streamed = {field.name: field for field in fields if _has(field, UploadStream)}
    if not streamed:
        return None
    name, *more = streamed
    if more:
        raise FastAPIError(
            f"{name!r} and {more[0]!r} are both an UploadStream: one is read after the other, so declare one, and "
            "read those that follow by `async for file in upload.files()`"
        )
    for field in fields:
        annotation = field.field_info.annotation
        if field.name != name and (_has(field, UploadFile) or _has(field, bytes)):
            raise FastAPIError(f"{field.name!r} cannot be a file beside {name!r}, which is read as it arrives")
        choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
        if field.name == name and not {UploadStream, type(None)}.issuperset(choices):
            raise FastAPIError(f"{name!r} must be an UploadStream, or None: several are read by `upload.files()`")
    names = frozenset(_names_of(streamed[name]))
    if not is_form:
        raise FastAPIError(f"{min(names)!r} is an UploadStream, which only a form has: it cannot be a `Body()`")
    return StreamedField(
        names,
        frozenset(each for field in fields if field.name != name for each in _names_of(field)),
    )


def _has(field: ModelField, cls: type) -> bool:
    """Tell whether an annotation is the class, or has it in a union or a list."""
    waiting = [field.field_info.annotation]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, cls):
            return True
        waiting.extend(get_args(annotation))
    return False


def _names_of(field: ModelField) -> Iterator[str]:
    return (alias.validation for alias in request_field(field).aliases)


BEFORE_FILE = "ferroapi.before_file"
"""The scope key of the name of the file that the endpoint would read, and of the fields that must come before it."""


def name_order(errors: Sequence[Any], scope: Mapping[str, Any]) -> list[Any]:
    """Return validation errors of which those of fields that have not come before the file say so."""
    if BEFORE_FILE not in scope:
        return [*errors]
    name, others = scope[BEFORE_FILE]
    places = {("body", each) for each in others}
    return [
        {**error, "msg": f"Field required before the file {name!r}"}
        if error["type"] == "missing" and tuple(error["loc"]) in places
        else error
        for error in errors
    ]


async def read_arriving_form(request: Request, limits: Mapping[str, Any], streamed: StreamedField) -> FormData:
    """Return the form up to its file, and keep it there for `request.form()`; any other body is read to its end.

    Raises:
        UploadInterrupted: the client has left.
        HTTPException: 400, as `read_form`.
    """
    media_type = multipart_type(request)
    if media_type is None:
        return await read_form(request, limits)
    form = _ArrivingForm(request, media_type, limits, streamed)
    file = await form.file_after(None)
    fields: list[tuple[str, Any]] = [*form.items]
    if file is not None:
        request.scope[BEFORE_FILE] = form.name, streamed.others
    if (file := file or form.empty) is not None:
        fields.append((form.name, file))
    request._form = FormData(fields)
    return request._form


class _ArrivingForm(WholeFormParser):
    """Starlette's parser, fed as somebody asks, which hands the content of files over and keeps none of it."""

    def __init__(self, request: Request, media_type: str, limits: Mapping[str, Any], streamed: StreamedField) -> None:
        super().__init__(Headers({"content-type": media_type}), cast(Any, request.stream()), **limits)
        self._request = request
        self._streamed = streamed
        self._files: deque[UploadStream] = deque()
        self._current: UploadStream | None = None
        self._failure: Exception | None = None
        self._is_over = False
        self._has_file = False
        self.name = ""
        self.empty: UploadStream | None = None
        """A file without a name and content: what browsers send where none was chosen."""
        self.behind: list[tuple[str, str | StarletteUploadFile]] = []
        self._parser = self.begin()

    async def feed(self) -> None:
        """Parse what comes next.

        Raises:
            UploadInterrupted: the client has left.
            HTTPException: 400, the form is malformed, cut off, or goes past a limit.
            Exception: what `receive` raises, as under a limit of the whole body.
        """
        self.check()
        try:
            chunk = await anext(self.stream, None)
            if chunk is not None:
                self._parser.write(chunk)
                return
            self._parser.finalize()
            self.check_end()
            self._is_over = True
        except ClientDisconnect as error:
            self._failure = UploadInterrupted(self._interruption())
            raise self._failure from error
        except (MultiPartException, _names.FormParserError) as error:
            detail = error.message if isinstance(error, MultiPartException) else "Invalid multipart data."
            self._failure = HTTPException(status_code=400, detail=detail)
            self._failure.__cause__ = error
            # What is wrong behind a file that nobody has yet is told by reading that: its fields are validated first.
            if not self._files:
                raise self._failure from error
        except Exception as error:
            self._failure = error
            raise
        except BaseException:
            # A read that is cancelled, as by a time limit, takes nothing: the next one goes on, by another generator.
            self.stream = cast(Any, self._request.stream())
            raise

    def check(self) -> None:
        """Raise what was wrong with the form so far."""
        if self._failure is not None:
            raise self._failure

    def _interruption(self) -> str:
        file = self._current
        if file is None or file._is_whole:
            return "The client has left before it has sent its form to the end."
        return f"The client has left after {file._received} bytes of the file {file.filename!r}."

    async def file_after(self, file: UploadStream | None) -> UploadStream | None:
        """Skip what is left of a file, and return the next one of the field, None where there is none."""
        while file is not None and not file._is_whole:
            file._drop()
            await self.feed()
        while True:
            while not self._files:
                if self._is_over:
                    return None
                await self.feed()
            file = self._files.popleft()
            while not file.filename and not file._arrived and not file._is_whole:
                await self.feed()
            if file.filename or file._arrived:
                return file
            self.empty = file

    async def close(self) -> None:
        """Ask the client for nothing more, unless somebody waits for it at this moment."""
        if not cast(Any, self.stream).ag_running:
            await self.stream.aclose()

    # What python-multipart calls.

    def on_headers_finished(self) -> None:
        """Take the file of this part, which Starlette has made, from its part: there is nothing to keep in it."""
        super().on_headers_finished()
        part = self._current_part
        if part.file is None:
            return
        part.file.file.close()
        file = UploadStream(self, part.file.filename, part.file.headers)
        part.file = self._current = file
        if part.field_name in self._streamed.names:
            self.name = part.field_name
            self._files.append(file)
            self._has_file = self._has_file or bool(file.filename)
        else:
            file._drop()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Hand a piece of a file over."""
        if isinstance(file := self._current_part.file, UploadStream):
            file._arrive(data[start:end])
            self._has_file = self._has_file or self._current_part.field_name in self._streamed.names
        else:
            super().on_part_data(data, start, end)

    def on_part_end(self) -> None:
        """End a file, or take a field.

        Raises:
            MultiPartException: it is declared, and the endpoint is called already.
        """
        if isinstance(file := self._current_part.file, UploadStream):
            file._end()
            return
        super().on_part_end()
        if not self._has_file:
            return
        name, value = self.items.pop()
        if name in self._streamed.others:
            raise MultiPartException(f"The field {name!r} must be sent before the file {self.name!r}.")
        self.behind.append((name, value))
