"""Whether two branches of a dependency graph ask a request for the same, so that one visit serves both.

As they were declared they do, if they call the same; but one of them may have been edited since.
"""

from dataclasses import fields
from operator import is_
from typing import Any

from ferroapi._compat import ModelField
from ferroapi.dependencies.models import Dependant

_FIELD_LISTS = ("path_params", "query_params", "header_params", "cookie_params", "body_params")
_OTHERS = tuple(
    field.name for field in fields(Dependant) if field.name not in (*_FIELD_LISTS, "name", "call", "dependencies")
)
_INFO = ("alias", "annotation", "default_factory", "validate_default", "validation_alias")
_COMPARABLE = frozenset({bool, bytes, float, int, str})


def is_same_branch(first: Dependant, second: Dependant) -> bool:
    """Tell whether two nodes and all below them ask for the same; under which name a result is taken does not count."""
    return (
        first.call is second.call
        and all(getattr(first, name) == getattr(second, name) for name in _OTHERS)
        and all(_are_same(getattr(first, name), getattr(second, name)) for name in _FIELD_LISTS)
        and len(first.dependencies) == len(second.dependencies)
        and all(
            own.name == other.name and is_same_branch(own, other)
            for own, other in zip(first.dependencies, second.dependencies, strict=True)
        )
    )


def _are_same(first: list[ModelField], second: list[ModelField]) -> bool:
    return len(first) == len(second) and all(map(_is_same_field, first, second))


def _is_same_field(first: ModelField, second: ModelField) -> bool:
    if first is second:
        return True
    info, other = first.field_info, second.field_info
    return (
        not (first._is_edited or second._is_edited)
        and (first.name, first.config, type(info)) == (second.name, second.config, type(other))
        and _is_same_default(info.default, other.default)
        and all(getattr(info, name) == getattr(other, name) for name in _INFO)
        and len(info.metadata) == len(other.metadata)
        and all(map(is_, info.metadata, other.metadata))
    )


def _is_same_default(first: Any, second: Any) -> bool:
    # The user's own objects are not asked.
    return first is second or (type(first) is type(second) and type(first) in _COMPARABLE and first == second)
