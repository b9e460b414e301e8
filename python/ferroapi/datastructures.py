"""Starlette's data structures under FastAPI's names, a typed `UploadFile`, and defaults that know they are defaults."""

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeVar, cast

from pydantic import GetJsonSchemaHandler
from pydantic_core import core_schema
from starlette.datastructures import URL as URL
from starlette.datastructures import Address as Address
from starlette.datastructures import FormData as FormData
from starlette.datastructures import Headers as Headers
from starlette.datastructures import QueryParams as QueryParams
from starlette.datastructures import State as State
from starlette.datastructures import UploadFile as StarletteUploadFile

DefaultType = TypeVar("DefaultType")


class UploadFile(StarletteUploadFile):
    """A file received in a multipart form; its methods run file access off the event loop.

    Source: FastAPI behaviour, `datastructures.UploadFile`.
    """

    file: BinaryIO
    """The file itself, readable without awaiting."""
    filename: str | None
    """The name the client gave the file; untrusted input."""
    size: int | None
    """Length in bytes, when known."""
    headers: Headers
    """The headers of this part of the form."""
    content_type: str | None  # pyright: ignore[reportIncompatibleMethodOverride]
    """The media type the client claims."""

    async def write(self, data: bytes) -> None:
        """Append `data` at the current position."""
        await super().write(data)

    async def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes from the current position; all that is left when `size` is negative."""
        return await super().read(size)

    async def seek(self, offset: int) -> None:
        """Move to `offset` bytes from the start."""
        await super().seek(offset)

    async def close(self) -> None:
        """Close the file and free its storage."""
        await super().close()

    @classmethod
    def _validate(cls, __input_value: Any, _: Any) -> "UploadFile":
        # Any Starlette upload passes: the form parser makes Starlette's class, not this one.
        if isinstance(__input_value, StarletteUploadFile):
            return cast(UploadFile, __input_value)
        raise ValueError(f"Expected UploadFile, received: {type(__input_value)}")

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: Callable[[Any], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        return core_schema.with_info_plain_validator_function(cls._validate)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Mapping[str, Any], handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "contentMediaType": "application/octet-stream"}


class DefaultPlaceholder:
    """Marks a value nobody chose, so that an outer router's or the application's choice can take its place."""

    def __init__(self, value: Any):
        self.value = value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, o: object) -> bool:
        return isinstance(o, DefaultPlaceholder) and self.value == o.value


def Default(value: DefaultType) -> DefaultType:
    """Wrap `value` in a `DefaultPlaceholder`; typed as the value itself, so that it can stand as a default."""
    return cast(DefaultType, DefaultPlaceholder(value))


# The mark of "not given" for parameters whose None means something.
_Unset = Default(None)
