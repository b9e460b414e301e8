"""The types that drawn parameters, bodies and response models have, by name.

Both frameworks are given the same objects, but for types that are a framework's own: those are made for each.
"""

import functools
import importlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, create_model


class Color(Enum):
    red = "red"
    blue = "blue"


class Level(IntEnum):
    low = 1
    high = 2


class Item(BaseModel):
    name: str
    price: float = 1.5
    tags: list[str] = []
    owner: str | None = None


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    item_name: str = Field(alias="itemName")
    count: int = Field(0, validation_alias=AliasChoices("count", "n"), serialization_alias="theCount")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    number: int
    flag: bool = False


class Nested(BaseModel):
    item: Item
    others: dict[str, Item] = {}
    when: datetime | None = None


class Filters(BaseModel):
    """A parameter model: each field is a parameter of its own."""

    limit: int = Field(10, ge=0)
    order_by: str = "name"
    tags: list[str] = []


class StrictFilters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str
    page_size: int | None = Field(None, alias="pageSize")


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    born: date | None = None
    owner: Item | None = None


@dataclass
class Point:
    x: int
    y: int = 2


class Record:
    """An object of an ORM: attributes instead of items."""

    name = "record"
    price = 2.25
    tags = ("a",)
    owner = None
    secret = "hidden"

    def __repr__(self) -> str:
        return "<Record>"


TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "decimal": Decimal,
    "uuid": UUID,
    "datetime": datetime,
    "date": date,
    "enum": Color,
    "literal": Literal["a", "b"],
    "int or none": int | None,
    "str or none": str | None,
    "int or str": int | str,
    "any": Any,
    "list of int": list[int],
    "list of str": list[str],
    "list of str or none": list[str] | None,
    "set of str": set[str],
    "tuple": tuple[int, str],
    "time": time,
    "timedelta": timedelta,
    "level": Level,
    "positive": Annotated[int, Field(gt=0)],
    "uuid or int": UUID | int,
    "list of colors": list[Color],
    "frozen set of int": frozenset[int],
    "list of decimal or none": list[Decimal] | None,
    "pet": Annotated[Cat | Dog, Field(discriminator="kind")],
    "pets by name": dict[str, Cat | Dog],
    "list of items or none": list[Item] | None,
    "items or item": list[Item] | Item,
    "item": Item,
    "aliased": Aliased,
    "strict": Strict,
    "nested": Nested,
    "item or none": Item | None,
    "item or strict": Item | Strict,
    "list of items": list[Item],
    "dict": dict[str, Any],
    "dict of int": dict[str, int],
    "dict by int": dict[int, float],
    "bytes": bytes,
    "point": Point,
    "filters": Filters,
    "strict filters": StrictFilters,
}
SCALARS = [
    "str",
    "int",
    "float",
    "bool",
    "decimal",
    "uuid",
    "datetime",
    "date",
    "enum",
    "literal",
    "int or none",
    "str or none",
    "int or str",
    "any",
    "time",
    "timedelta",
    "level",
    "positive",
    "uuid or int",
]
SEQUENCES = [
    "list of int",
    "list of str",
    "list of str or none",
    "set of str",
    "tuple",
    "list of colors",
    "frozen set of int",
    "list of decimal or none",
]
BODIES = [
    "item",
    "aliased",
    "strict",
    "nested",
    "item or none",
    "item or strict",
    "list of items",
    "dict",
    "dict of int",
    "dict by int",
    "bytes",
    "point",
    "pet",
    "pets by name",
    "list of items or none",
    "items or item",
]
FILES = ["upload", "upload or none", "uploads", "uploads or none", "bytes", "list of bytes", "bytes or none"]
FORM_MODELS = ["upload form", "strict upload form"]
PARAMETER_MODELS = ["filters", "strict filters"]

REQUIRED = "required"
"""Stands for the default of a parameter that has none."""


_FRAMEWORK_TYPES = {
    "upload": lambda fastapi: fastapi.UploadFile,
    "upload or none": lambda fastapi: fastapi.UploadFile | None,
    "uploads": lambda fastapi: list[fastapi.UploadFile],
    "uploads or none": lambda fastapi: list[fastapi.UploadFile] | None,
    "upload form": lambda fastapi: create_model(
        "UploadForm", title=(str, "untitled"), document=(fastapi.UploadFile | None, None), tags=(list[str], [])
    ),
    "strict upload form": lambda fastapi: create_model(
        "StrictUploadForm",
        __config__=ConfigDict(extra="forbid"),
        number=(int, ...),
        documents=(list[fastapi.UploadFile], []),
    ),
}
_OTHER_TYPES: dict[str, Any] = {"list of bytes": list[bytes], "bytes or none": bytes | None}


@functools.cache
def type_named(name: str, framework: str) -> Any:
    """The type of this name; one that holds an object of the framework is made for it."""
    if name in _FRAMEWORK_TYPES:
        return _FRAMEWORK_TYPES[name](importlib.import_module(framework))
    return _OTHER_TYPES[name] if name in _OTHER_TYPES else TYPES[name]


ITERABLES: dict[str, dict[str, Any]] = {
    "async": {"iterable": AsyncIterable, "iterator": AsyncIterator},
    "sync": {"iterable": Iterable, "iterator": Iterator},
}
"""What a stream may say that it returns."""
