"""Small public functions about paths, status codes, operation ids and defaults, and the making of a `ModelField`."""

import re
import warnings
from typing import TYPE_CHECKING, Any, Literal

from pydantic.fields import FieldInfo

from ferroapi._compat import (
    ModelField,
    PydanticSchemaGenerationError,
    Undefined,
    annotation_is_pydantic_v1,
)
from ferroapi._compat import v2 as v2
from ferroapi._compat.shared import pydantic_v1_is_in_use
from ferroapi.datastructures import DefaultPlaceholder, DefaultType
from ferroapi.exceptions import FastAPIDeprecationWarning, FastAPIError, PydanticV1NotSupportedError

if TYPE_CHECKING:
    from ferroapi.routing import APIRoute

_STATUS_CODES_WITHOUT_BODY = frozenset({204, 205, 304})
_STATUS_CODE_CLASSES = frozenset({"default", "1XX", "2XX", "3XX", "4XX", "5XX"})
_PATH_PARAMETER = re.compile("{(.*?)}")
_NOT_A_WORD = re.compile(r"\W")
_ASKED_OF_TYPES = annotation_is_pydantic_v1

_invalid_args_message = (
    "Invalid args for response field! Hint: check that {type_} is a valid Pydantic field type."
    " If you are using a return type annotation that is not a valid Pydantic field"
    " (e.g. Union[Response, dict, None]) you can disable generating the response model from the type annotation"
    " with the path operation decorator parameter response_model=None."
    " Read more: https://fastapi.tiangolo.com/tutorial/response-model/"
)


def is_body_allowed_for_status_code(status_code: int | str | None) -> bool:
    """Tell whether an answer with this status may have a body; a class such as "2XX", "default" or None may.

    Raises:
        ValueError: `status_code` is neither a number nor one of OpenAPI's classes.
    """
    if status_code is None or status_code in _STATUS_CODE_CLASSES:
        return True
    number = int(status_code)
    return number >= 200 and number not in _STATUS_CODES_WITHOUT_BODY


def get_path_param_names(path: str) -> set[str]:
    """Return what stands between braces in a path template without converters."""
    return set(_PATH_PARAMETER.findall(path))


def create_model_field(
    name: str,
    type_: Any,
    default: Any | None = Undefined,
    field_info: FieldInfo | None = None,
    alias: str | None = None,
    mode: Literal["validation", "serialization"] = "validation",
) -> ModelField:
    """Make the field that validates or serializes values of `type_`.

    Raises:
        PydanticV1NotSupportedError: `type_` is a model of `pydantic.v1`.
        FastAPIError: pydantic cannot make a schema for `type_`.
    """
    is_asked = pydantic_v1_is_in_use() or annotation_is_pydantic_v1 is not _ASKED_OF_TYPES
    if is_asked and annotation_is_pydantic_v1(type_):
        raise PydanticV1NotSupportedError(
            f"pydantic.v1 models are no longer supported by FastAPI. Please update the response model {type_!r}."
        )
    info = field_info or FieldInfo(annotation=type_, default=default, alias=alias)
    try:
        return ModelField(mode=mode, name=name, field_info=info)
    except PydanticSchemaGenerationError:
        raise FastAPIError(_invalid_args_message.format(type_=type_)) from None


def _operation_id(name: str, path: str, method: str) -> str:
    return f"{_NOT_A_WORD.sub('_', name + path)}_{method.lower()}"


def generate_operation_id_for_path(*, name: str, path: str, method: str) -> str:
    """Return the operation id of a name, path and method; deprecated, nothing here uses it."""
    warnings.warn(
        message="fastapi.utils.generate_operation_id_for_path() was deprecated, it is not used internally,"
        " and will be removed soon",
        category=FastAPIDeprecationWarning,
        stacklevel=2,
    )
    return _operation_id(name, path, method)


def generate_unique_id(route: "APIRoute") -> str:
    """Return the operation id of a route: its name, path and first method of the alphabet, as one word.

    FastAPI takes any of a set, so that with several methods each process has another. See docs/differences.md.
    """
    assert route.methods
    return _operation_id(route.name, route.path_format, min(route.methods))


def deep_dict_update(main_dict: dict[Any, Any], update_dict: dict[Any, Any]) -> None:
    """Merge `update_dict` into `main_dict` in place: dicts by key, lists by concatenation, anything else replaced."""
    for key, new in update_dict.items():
        old = main_dict.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            deep_dict_update(old, new)
        elif isinstance(old, list) and isinstance(new, list):
            main_dict[key] = old + new
        else:
            main_dict[key] = new


def get_value_or_default(
    first_item: DefaultPlaceholder | DefaultType,
    *extra_items: DefaultPlaceholder | DefaultType,
) -> DefaultPlaceholder | DefaultType:
    """Return the first item that somebody chose; the first item, a placeholder, when nobody chose one."""
    for item in (first_item, *extra_items):
        if not isinstance(item, DefaultPlaceholder):
            return item
    return first_item
