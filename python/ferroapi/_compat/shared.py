"""Questions about annotations and values that need no validator.

Registration asks them to decide where a parameter comes from; a request asks only `value_is_sequence`.
"""

import sys
import types
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, ClassVar, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.version import VERSION as PYDANTIC_VERSION
from starlette.datastructures import UploadFile

from ferroapi.types import UnionType

_T = TypeVar("_T")

PYDANTIC_VERSION_MINOR_TUPLE = tuple(int(part) for part in PYDANTIC_VERSION.split(".")[:2])

WithArgsTypes: tuple[Any, ...] = (
    type(ClassVar[int]),
    types.GenericAlias,
    types.UnionType,
)
"""The classes of subscripted annotations, which `issubclass` refuses."""

# `Sequence` is abstract, so a value declared with it is built as a list.
sequence_annotation_to_type: dict[type[Any], type[Any]] = {
    Sequence: list,
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    deque: deque,
}
sequence_types: tuple[type[Any], ...] = tuple(sequence_annotation_to_type)

_TEXT_TYPES = (str, bytes)
_CORE_SCHEMA_HOOKS = ("__pydantic_core_schema__", "__get_pydantic_core_schema__")


def lenient_issubclass(cls: Any, class_or_tuple: type[_T] | tuple[type[_T], ...] | None) -> TypeGuard[type[_T]]:
    """Tell whether `cls` is a class and a subclass of the others; anything that is not a class is not.

    Raises:
        TypeError: `class_or_tuple` is not what `issubclass` accepts.
    """
    try:
        return isinstance(cls, type) and issubclass(cls, class_or_tuple)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    except TypeError:
        if isinstance(cls, WithArgsTypes):
            return False
        raise


def _union_members(annotation: Any) -> tuple[Any, ...] | None:
    """Return the members of a union in either spelling, None for any other annotation."""
    origin = get_origin(annotation)
    return get_args(annotation) if origin is Union or origin is UnionType else None


def _annotation_is_sequence(annotation: Any) -> bool:
    return not lenient_issubclass(annotation, _TEXT_TYPES) and lenient_issubclass(annotation, sequence_types)


def _is_complex_class(cls: Any) -> bool:
    return (
        lenient_issubclass(cls, (BaseModel, Mapping, UploadFile)) or _annotation_is_sequence(cls) or is_dataclass(cls)
    )


def field_annotation_is_sequence(annotation: Any) -> bool:
    """Tell whether a value of this annotation can be a sequence other than text; one union member is enough."""
    members = _union_members(annotation)
    if members is not None:
        return any(map(field_annotation_is_sequence, members))
    if get_origin(annotation) is Annotated:
        return field_annotation_is_sequence(get_args(annotation)[0])
    return _annotation_is_sequence(annotation) or _annotation_is_sequence(get_origin(annotation))


def value_is_sequence(value: Any) -> bool:
    """Tell whether a value is of a sequence type other than text."""
    return isinstance(value, sequence_types) and not isinstance(value, _TEXT_TYPES)


def field_annotation_is_complex(annotation: Any) -> bool:
    """Tell whether an annotation needs structure a single string cannot carry: models, mappings, files, sequences."""
    members = _union_members(annotation)
    if members is not None:
        return any(map(field_annotation_is_complex, members))
    origin = get_origin(annotation)
    if origin is Annotated:
        return field_annotation_is_complex(get_args(annotation)[0])
    return (
        _is_complex_class(annotation)
        or _is_complex_class(origin)
        or any(hasattr(origin, hook) for hook in _CORE_SCHEMA_HOOKS)
    )


def field_annotation_is_scalar(annotation: Any) -> bool:
    """Tell whether one string can carry the value; `...` stands for no annotation and counts as scalar."""
    return annotation is Ellipsis or not field_annotation_is_complex(annotation)


def field_annotation_is_scalar_sequence(annotation: Any) -> bool:
    """Tell whether repeated strings can carry the value.

    In a union at least one member is a scalar sequence and every other one a scalar.
    Source: FastAPI behaviour, `_compat.shared.field_annotation_is_scalar_sequence`.
    """
    members = _union_members(annotation)
    if members is not None:
        are_sequences = [field_annotation_is_scalar_sequence(member) for member in members]
        return any(are_sequences) and all(
            is_sequence or field_annotation_is_scalar(member)
            for member, is_sequence in zip(members, are_sequences, strict=True)
        )
    if get_origin(annotation) is Annotated:
        return field_annotation_is_scalar_sequence(get_args(annotation)[0])
    return field_annotation_is_sequence(annotation) and all(map(field_annotation_is_scalar, get_args(annotation)))


def _is_class_or_union_with(annotation: Any, cls: type[Any]) -> bool:
    return any(lenient_issubclass(member, cls) for member in (annotation, *(_union_members(annotation) or ())))


def _is_sequence_of(annotation: Any, is_element: Callable[[Any], bool]) -> bool:
    """Tell whether an annotation, or a union member of it, is a sequence whose arguments all pass `is_element`.

    A bare `list` has no arguments and passes.
    """
    members = _union_members(annotation)
    if members is not None:
        return any(_is_sequence_of(member, is_element) for member in members)
    return field_annotation_is_sequence(annotation) and all(map(is_element, get_args(annotation)))


def is_bytes_or_nonable_bytes_annotation(annotation: Any) -> bool:
    """Tell whether an annotation is `bytes` or a union with it."""
    return _is_class_or_union_with(annotation, bytes)


def is_uploadfile_or_nonable_uploadfile_annotation(annotation: Any) -> bool:
    """Tell whether an annotation is an upload file class or a union with one."""
    return _is_class_or_union_with(annotation, UploadFile)


def is_bytes_sequence_annotation(annotation: Any) -> bool:
    """Tell whether an annotation is a sequence of `bytes`, or a union with one."""
    return _is_sequence_of(annotation, is_bytes_or_nonable_bytes_annotation)


def is_uploadfile_sequence_annotation(annotation: Any) -> bool:
    """Tell whether an annotation is a sequence of upload files, or a union with one."""
    return _is_sequence_of(annotation, is_uploadfile_or_nonable_uploadfile_annotation)


def _pydantic_v1_model_base() -> type[Any] | None:
    """Return the base class of `pydantic.v1` models, None where nobody has imported it, so that there are none.

    It is not imported for the question: it is as large as pydantic itself, and on Python 3.14 importing it warns.
    """
    base: type[Any] | None = getattr(sys.modules.get("pydantic.v1.main"), "BaseModel", None)
    return base


def pydantic_v1_is_in_use() -> bool:
    """Tell whether there can be a `pydantic.v1` model at all."""
    return "pydantic.v1.main" in sys.modules


def is_pydantic_v1_model_instance(obj: Any) -> bool:
    """Tell whether a value is an instance of a `pydantic.v1` model."""
    base = _pydantic_v1_model_base()
    return base is not None and isinstance(obj, base)


def is_pydantic_v1_model_class(cls: Any) -> bool:
    """Tell whether a class is a `pydantic.v1` model."""
    base = _pydantic_v1_model_base()
    return base is not None and lenient_issubclass(cls, base)


def annotation_is_pydantic_v1(annotation: Any) -> bool:
    """Tell whether an annotation is a `pydantic.v1` model, a union with one or a sequence of such."""
    if any(map(is_pydantic_v1_model_class, (annotation, *(_union_members(annotation) or ())))):
        return True
    return field_annotation_is_sequence(annotation) and any(map(annotation_is_pydantic_v1, get_args(annotation)))
