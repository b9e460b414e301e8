"""Whether values can be made, and received ones validated, without running code of the application's.

The one place that knows: `compile` asks for what may be done in a worker thread, `model_serializer` and `scalar` for
what may be done without pydantic. Whatever is not known here is taken for such code.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from types import FunctionType, MethodType
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaValidator

from ferroapi._compat import ModelField
from ferroapi._engine.known_values import SCALARS, is_immutable

_CONTAINERS = frozenset((list, tuple, set, frozenset))
_FACTORIES = frozenset((*SCALARS, *_CONTAINERS, dict))
_LIBRARIES = ("pydantic", "pydantic_core", "ferroapi")

_INNER: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("any", "none", "bool", "int", "float", "complex", "decimal", "str", "bytes"), ()),
    **dict.fromkeys(("date", "time", "datetime", "timedelta", "uuid", "url", "multi-host-url", "literal", "enum"), ()),
    **dict.fromkeys(("nullable", "default", "json", "model", "model-field", "typed-dict-field"), ("schema",)),
    **dict.fromkeys(("dataclass", "dataclass-field"), ("schema",)),
    **dict.fromkeys(("function-before", "function-after", "function-wrap"), ("schema",)),
    **dict.fromkeys(("list", "set", "frozenset", "tuple"), ("items_schema",)),
    "function-plain": (),
    "dict": ("keys_schema", "values_schema"),
    "union": ("choices",),
    "tagged-union": ("choices",),
    "model-fields": ("fields", "extras_schema", "extras_keys_schema"),
    "typed-dict": ("fields", "extras_schema"),
    "dataclass-args": ("fields",),
    "definitions": ("schema", "definitions"),
    "definition-ref": (),
}
"""The schemas that are known, and under which keys each has others inside."""

_UNASKED = frozenset(("type", "cls", "ref", "metadata", "serialization", "computed_fields", "config", "generic_origin"))
"""What a schema says that validation does not call; the class is looked at besides."""


def is_watched(adapter: TypeAdapter[Any]) -> bool:
    """Tell whether a plugin of pydantic's watches validation, which must go on seeing it."""
    return type(getattr(adapter.validator.validate_python, "__self__", None)) is not SchemaValidator


def is_validated_silently(field: ModelField) -> bool:
    """Tell whether a text, or what JSON has, is validated without running code of the application's."""
    if type(field) is not ModelField or is_watched(field._type_adapter):
        return False
    return _is_silent(field._type_adapter.core_schema) and _is_default_silent(field)


def _is_default_silent(field: ModelField) -> bool:
    """Tell whether what stands for a missing value is made silently."""
    info = field.field_info
    if info.is_required():
        return True
    return info.default_factory in _FACTORIES if info.default_factory is not None else is_copied_silently(info.default)


def is_copied_silently(value: Any) -> bool:
    """Whether `deepcopy` of a value runs no code of the application's."""
    waiting, seen = [value], set()
    while waiting:
        each = waiting.pop()
        if type(each) is dict or type(each) in _CONTAINERS:
            if id(each) not in seen:
                seen.add(id(each))
                waiting += (*each.keys(), *each.values()) if type(each) is dict else each
        elif not is_immutable(each):
            return False
    return True


def is_made_silently(model: type[Any]) -> bool:
    """Whether nothing of the application's runs when an instance is made by pydantic, or given up."""
    makers = [base for base in model.__mro__ if "__new__" in base.__dict__]
    return (makers[0] is object or makers[0].__module__ == "sqlmodel.main") and not hasattr(model, "__del__")


def _is_silent(schema: Any) -> bool:
    """Whether validating by a schema is silent; of models within models it asks at one depth of the stack."""
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        kind = each.get("type") if isinstance(each, Mapping) else None
        inner = _INNER.get(kind) if isinstance(kind, str) else None
        if inner is None or not _is_class_silent(each):
            return False
        if "schema" in inner and "schema" not in each and kind != "json":
            return False
        for key in each.keys() - _UNASKED:
            if key in inner:
                waiting += _schemas_in(each[key])
            elif not _is_setting_silent(key, each[key]):
                return False
    return True


def _schemas_in(part: Any) -> Iterable[Any]:
    """Return the schemas in a part of another: one, a list of them, fields by their names or choices by their tags."""
    if isinstance(part, list):
        # A choice may have its label beside it.
        return [each[0] if isinstance(each, tuple) and each else each for each in part]
    return part.values() if isinstance(part, Mapping) and not isinstance(part.get("type"), str) else (part,)


def _is_setting_silent(key: str, value: Any) -> bool:
    match key:
        case "function":
            return isinstance(value, Mapping) and _is_of_library(value.get("function"))
        case "default":
            return is_copied_silently(value)
        case "default_factory":
            return value in _FACTORIES
        case "expected" | "members":
            return isinstance(value, list) and all(type(getattr(each, "value", each)) in SCALARS for each in value)
        case "custom_init" | "post_init":
            return not value
        case _:
            return not callable(value)


def _is_class_silent(schema: Mapping[str, Any]) -> bool:
    cls = schema.get("cls")
    if cls is None:
        return True
    if schema["type"] == "enum":
        return type(cls) is type(Enum) and cls._missing_.__module__ == Enum.__module__
    # The class of a class says what an instance is.
    known = (type.__instancecheck__, type(BaseModel).__instancecheck__)
    return type(cls).__instancecheck__ in known and is_made_silently(cls)


def _is_of_library(function: Any) -> bool:
    """Whether a validator is pydantic's or ours, and calls nothing else that it was given."""
    if isinstance(function, MethodType):
        return _is_of_library(function.__func__) and _is_known_object(function.__self__)
    if not isinstance(function, FunctionType) or not _is_in_library(function.__module__):
        return False
    return all(_is_known_object(cell.cell_contents) for cell in function.__closure__ or ())


def _is_known_object(value: Any) -> bool:
    return is_copied_silently(value) or (isinstance(value, type) and _is_in_library(value.__module__))


def _is_in_library(module: str | None) -> bool:
    return (module or "").partition(".")[0] in _LIBRARIES
