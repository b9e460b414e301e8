"""Which annotations are so plain that nothing can go wrong with them, and the models that annotations reach.

`v2` asks before it builds an adapter: that of a plain annotation can wait. It builds nothing itself.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ferroapi.types import UnionType

_CLASSES = frozenset(
    {str, int, float, bool, bytes, NoneType, date, datetime, time, timedelta, Decimal, UUID, list, dict}
)
_FUNCTIONS = frozenset({"function-before", "function-after", "function-wrap"})
_CONTAINERS = frozenset({Union, UnionType, list, dict, set, frozenset})


def is_plain_annotation(annotation: Any) -> bool:
    """Tell whether pydantic certainly builds an adapter for an annotation, so that building it can wait."""
    if annotation is Any or annotation is None or (type(annotation) is type and annotation in _CLASSES):
        return True
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        hook = getattr(annotation.__get_pydantic_core_schema__, "__func__", None)
        is_usual = hook is BaseModel.__get_pydantic_core_schema__.__func__  # type: ignore[attr-defined]
        return annotation.__pydantic_complete__ and is_usual and _has_own_schema(annotation)
    return get_origin(annotation) in _CONTAINERS and all(map(is_plain_annotation, get_args(annotation)))


def _has_own_schema(model: type[BaseModel]) -> bool:
    """Tell whether a model has a core schema that describes it: anybody may have given it another."""
    schema: Any = vars(model).get("__pydantic_core_schema__")
    while isinstance(schema, Mapping):
        kind = schema.get("type")
        if kind == "definitions" and isinstance(definitions := schema.get("definitions"), list):
            schema = schema.get("schema")
            if isinstance(schema, Mapping) and schema.get("type") == "definition-ref":
                reference = schema.get("schema_ref")
                schema = next(
                    (each for each in definitions if isinstance(each, Mapping) and each.get("ref") == reference), None
                )
        elif kind in _FUNCTIONS:
            schema = schema.get("schema")
        else:
            return kind == "model" and schema.get("cls") is model
    return False


def is_plain(field_info: FieldInfo) -> bool:
    """Tell whether pydantic certainly builds an adapter for a field."""
    return (
        not field_info.metadata
        and field_info.discriminator is None
        # Pydantic refuses a field with both, once it makes one of this.
        and (field_info.default_factory is None or field_info.default is PydanticUndefined)
        and (field_info.validation_alias is None or isinstance(field_info.validation_alias, str))
        and is_plain_annotation(field_info.annotation)
    )


def has_reference(annotation: Any) -> bool:
    """Tell whether a class in an annotation is given by its name, or is a model in which one is that nobody knows."""
    if isinstance(annotation, str | ForwardRef):
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return not annotation.__pydantic_complete__
    return get_origin(annotation) is not Literal and any(map(has_reference, get_args(annotation)))


def get_reached_models(annotations: Iterable[Any]) -> set[type[BaseModel] | type[Enum]]:
    """Return what `v2.get_flat_models_from_fields` finds, without making a field for every field of a model."""
    reached: set[type[BaseModel] | type[Enum]] = set()
    waiting: list[Any] = list(annotations)
    while waiting:
        annotation = waiting.pop()
        if not isinstance(annotation, type) or get_origin(annotation) is not None:
            waiting += get_args(annotation)
        elif annotation in _CLASSES or annotation in reached:
            continue
        elif issubclass(annotation, BaseModel | Enum):
            reached.add(annotation)
            if issubclass(annotation, BaseModel):
                waiting += [field_info.annotation for field_info in annotation.model_fields.values()]
    return reached
