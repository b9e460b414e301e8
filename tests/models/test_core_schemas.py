"""What is read off core schemas, which anybody may put together: of any shape, and at any depth of models in models."""

import sys
import types
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter, create_model, model_validator
from pydantic.fields import FieldInfo

from ferroapi._compat import ModelField
from ferroapi._models.model_serializer import model_serializer
from ferroapi._models.scalar import scalar_of
from ferroapi._models.silent import is_copied_silently, is_validated_silently


class Size(Enum):
    SMALL = "small"


class Leaf(BaseModel):
    size: Size = Size.SMALL
    kind: Literal["a", 1] = "a"
    hidden: int | str = Field(3, exclude=True)


class Tree(BaseModel):
    leaves: list[Leaf] = Field(alias="l", default_factory=list)
    pair: tuple[int, str] | None = None
    many: tuple[int, ...] = ()
    by_name: dict[str, Leaf] = {}
    at: datetime | None = None
    named: set[str] = Field(set(), max_length=3)

    @model_validator(mode="after")
    def check(self) -> Any:
        return self


def field_with(core_schema: Any) -> ModelField:
    """Return a field whose adapter says that it was made of this."""
    field = ModelField(field_info=FieldInfo(annotation=Tree), name="field")
    adapter = TypeAdapter(Tree)
    said = types.SimpleNamespace(
        validator=adapter.validator, serializer=adapter.serializer, core_schema=core_schema, pydantic_complete=True
    )
    field.__dict__["_type_adapter"] = said
    return field


READERS: list[Callable[[ModelField], Any]] = [
    lambda field: model_serializer(field, {"by_alias": True}),
    is_validated_silently,
    scalar_of,
]


def changed(schema: Any, value: Any) -> Iterator[Any]:
    """Yield copies of a schema, each with another part of it replaced by a value."""
    yield value
    if isinstance(schema, dict):
        for key, inner in schema.items():
            yield {other: each for other, each in schema.items() if other != key}
            yield from ({**schema, key: each} for each in changed(inner, value))
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from ([*schema[:index], each, *schema[index + 1 :]] for each in changed(inner, value))


@pytest.mark.parametrize("value", [None, "text", 1, [], {}, [None], {"type": []}, {"type": "model"}, object], ids=repr)
def test_core_schema_of_any_shape_is_read(value: Any) -> None:
    whole = TypeAdapter(Tree).core_schema
    for schema in changed(whole, value):
        for read in READERS:
            read(field_with(schema))
    for read in READERS:
        assert not read(field_with(value))


def within(depth: int, wrap: Callable[[Any], Any]) -> Any:
    annotation: Any = Leaf
    for index in range(depth):
        annotation = create_model(f"Level{index}", inner=(wrap(annotation), ...))
    return annotation


@pytest.mark.parametrize("wrap", [lambda inner: inner, lambda inner: list[inner] | None])  # type: ignore[valid-type]
def test_core_schema_of_models_in_models_takes_no_deeper_stack(wrap: Any) -> None:
    deepest = []
    for depth in (1, 20):
        field = ModelField(field_info=FieldInfo(annotation=within(depth, wrap)), name="field")
        assert field._type_adapter
        deepest.append([_frames(lambda read=read, field=field: read(field)) for read in READERS])  # type: ignore[misc]

    assert deepest[0] == deepest[1]


def test_core_schema_of_more_models_in_models_than_frames_is_silent() -> None:
    field = ModelField(field_info=FieldInfo(annotation=within(250, lambda inner: inner)), name="field")

    assert is_validated_silently(field)
    assert model_serializer(field, {"by_alias": True}) is None


def _frames(call: Callable[[], Any]) -> int:
    """Return how many frames of Python a call takes at once."""
    depth = deepest = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal depth, deepest
        if event in ("call", "return"):
            depth += 1 if event == "call" else -1
            deepest = max(deepest, depth)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        assert call() is not False
    finally:
        sys.setprofile(before)
    return deepest


def test_default_that_holds_itself_is_copied_silently() -> None:
    default: list[Any] = [1, {"a": ("b", 2.0)}]
    default.append(default)

    assert is_copied_silently(default)
    assert not is_copied_silently([default, object()])
