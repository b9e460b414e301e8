"""A parameter's core schema becomes what `_core` makes of its text, if that is known without asking pydantic.

What is refused, and every text of another form, stays with pydantic; `compile` asks for it once a parameter.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from ferroapi import _core
from ferroapi._compat import ModelField
from ferroapi._models.silent import is_watched

_LARGEST = 10**18 - 1
"""Integers beyond this are read by pydantic."""

_BOUNDS = {"ge", "gt", "le", "lt"}
_WRAPPERS = {
    "nullable": {"schema"},
    "default": {"schema", "default", "default_factory", "default_factory_takes_data", "validate_default"},
}
_SAID: dict[str, set[str]] = {"str": set(), "bool": set(), "int": _BOUNDS, "float": {*_BOUNDS, "allow_inf_nan"}}
"""The types of which a text is read, with what a schema may say besides."""


def scalar_of(field: ModelField) -> _core.Scalar | None:
    """Return what a text of this field stands for, None if only pydantic knows."""
    adapter = field._type_adapter
    if field.config or is_watched(adapter):
        return None
    return _read(adapter.core_schema)


def _read(schema: Any) -> _core.Scalar | None:
    while (said := _WRAPPERS.get(kind := _kind(schema))) is not None:
        if not schema.keys() <= {"type", "metadata", *said}:
            return None
        schema = schema.get("schema")
    if kind not in _SAID or not schema.keys() <= {"type", "metadata", *_SAID[kind]}:
        return None
    bounds = {name: schema[name] for name in _BOUNDS if schema.get(name) is not None}
    return _READ[kind](bounds)


def _kind(schema: Any) -> str:
    """Return the type that a schema says, the empty string if none: it may have been put together by anybody."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    return kind if isinstance(kind, str) else ""


def _integer(bounds: Mapping[str, Any]) -> _core.Scalar | None:
    if any(type(bound) is not int for bound in bounds.values()):
        return None
    least = max(-_LARGEST, bounds.get("ge", -_LARGEST), bounds.get("gt", -_LARGEST - 1) + 1)
    most = min(_LARGEST, bounds.get("le", _LARGEST), bounds.get("lt", _LARGEST + 1) - 1)
    # A range that holds nothing may have an end of any size.
    return _core.Scalar.integer(least, most) if least <= most else None


def _number(bounds: Mapping[str, Any]) -> _core.Scalar | None:
    if any(type(bound) not in (int, float) or math.isnan(bound) for bound in bounds.values()):
        return None
    limits = {name: float(bound) for name, bound in bounds.items()}
    least = max(limits.get("ge", -math.inf), math.nextafter(limits.get("gt", -math.inf), math.inf))
    most = min(limits.get("le", math.inf), math.nextafter(limits.get("lt", math.inf), -math.inf))
    return _core.Scalar.number(least, most)


_READ: dict[str, Callable[[Mapping[str, Any]], _core.Scalar | None]] = {
    "str": lambda bounds: _core.Scalar.text(),
    "bool": lambda bounds: _core.Scalar.truth(),
    "int": _integer,
    "float": _number,
}
