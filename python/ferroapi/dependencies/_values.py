"""Path, query, header and cookie parameters: from what was received to validated values and errors.

Called by the solver once a source; `_body` shares its way of reading one name. It knows no dependencies.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Sized
from copy import deepcopy
from typing import Any

from pydantic import BaseModel
from starlette.datastructures import FormData, Headers, ImmutableMultiDict, QueryParams, UploadFile

from ferroapi._compat import ModelField, Undefined, get_missing_field_error
from ferroapi._received import GroupedHeaders, GroupedQuery
from ferroapi.dependencies._field import Alias, request_field


def request_params_to_args(
    fields: Sequence[ModelField], received_params: Mapping[str, Any] | QueryParams | Headers
) -> tuple[dict[str, Any], list[Any]]:
    """Return the values of one source's parameters by name, and the errors of those that have none.

    Raises: AssertionError for a field that is not a `Param`.
    Source: FastAPI behaviour, `dependencies.utils.request_params_to_args`.
    """
    values: dict[str, Any] = {}
    errors: list[Any] = []
    for field in fields:
        model = request_field(field).parameter_model
        if model is None:
            value, field_errors = _single_value(field, received_params, values)
        else:
            value, field_errors = _request_param_model_to_args(field, model, received_params)
        if field_errors:
            errors.extend(field_errors)
        else:
            values[field.name] = value
    return values, errors


def _validate_value_with_model_field(
    *, field: ModelField, value: Any, values: dict[str, Any], loc: tuple[int | str, ...]
) -> tuple[Any, list[Any]]:
    """Validate one value; `Undefined` stands for a value that was not sent and takes the default.

    Source: FastAPI behaviour, `dependencies.utils._validate_value_with_model_field`.
    """
    if value is Undefined:
        if field.field_info.is_required():
            return None, [get_missing_field_error(loc=loc)]
        value = deepcopy(field.default)
        if not field.field_info.validate_default:
            return value, []
    return field.validate(value, values, loc=loc)


def _get_multidict_value(field: ModelField, values: Mapping[str, Any], alias: str) -> Any:
    """Return what was received for a field under one of its names, `Undefined` when that counts as nothing.

    Source: FastAPI behaviour, `dependencies.utils._get_multidict_value`.
    """
    facts = request_field(field)
    value: Any
    if facts.is_repeated and isinstance(values, ImmutableMultiDict | Headers):
        value = values.getlist(alias)
        if isinstance(values, FormData):
            value = [item for item in value if not _is_empty_file_input(item)]
    else:
        value = values.get(alias, None)
    # Browsers send an empty text or a nameless file for a form input that was left blank.
    if value is None or (isinstance(values, FormData) and (value == "" or _is_empty_file_input(value))):
        return Undefined
    return Undefined if facts.is_sequence and isinstance(value, Sized) and len(value) == 0 else value


def _get_multidict_extras(
    received_params: Mapping[str, Any], processed_keys: Collection[str]
) -> Iterator[tuple[str, Any]]:
    """Yield each received name that was not processed with its value, or with all its values when it was repeated.

    Source: FastAPI behaviour, `dependencies.utils._get_multidict_extras`.
    """
    received, known = received_params, processed_keys
    grouped = received.grouped if isinstance(received, GroupedQuery | GroupedHeaders) else received
    if type(grouped) is dict:
        yield from ((name, value) for name, value in grouped.items() if name not in known)
        return
    if isinstance(received, ImmutableMultiDict):
        items = received.multi_items()
    elif isinstance(received, Headers):
        items = received.items()
    else:
        yield from ((name, received.get(name)) for name in received if name not in known)
        return
    occurrences: dict[str, list[Any]] = {}
    for name, value in items:
        if name not in known:
            occurrences.setdefault(name, []).append(value)
    for name, found in occurrences.items():
        yield name, found[0] if len(found) == 1 else found


def _single_value(field: ModelField, received: Mapping[str, Any], values: dict[str, Any]) -> tuple[Any, list[Any]]:
    facts = request_field(field)
    name = _received_alias(facts.aliases, received).request
    value = _get_multidict_value(field, received, alias=name)
    return _validate_value_with_model_field(field=field, value=value, values=values, loc=(facts.location, name))


def _request_param_model_to_args(
    model_field: ModelField, model: type[BaseModel], received_params: Mapping[str, Any]
) -> tuple[Any, list[Any]]:
    """Collect the fields of a parameter model, and every name it does not know, and validate them together.

    Source: FastAPI behaviour, `dependencies.utils._request_param_model_to_args`.
    """
    is_headers = isinstance(received_params, Headers)
    facts = request_field(model_field)
    names = facts.model_names(model, is_headers=is_headers)
    data: dict[str, Any] = {}
    known: set[str] = set(names.hidden)
    wire_names: dict[Any, str] = {}
    for field, aliases in names.fields:
        alias = _received_alias(aliases, received_params)
        value = _get_multidict_value(field, received_params, alias=alias.request)
        if value is not Undefined:
            data[alias.validation] = value
        known.add(alias.request.lower() if is_headers else alias.request)
        if is_headers and alias.validation != alias.request:
            wire_names[field.name] = alias.request
    data.update(_get_multidict_extras(received_params, known))

    is_absent = (
        model_field.field_info.annotation is not model
        and names.requested.isdisjoint(received_params)
        and not (data and model.model_config.get("extra") in ("allow", "forbid"))
    )
    value, errors = _validate_value_with_model_field(
        field=model_field, value=Undefined if is_absent else data, values={}, loc=(facts.location,)
    )
    if wire_names and model.model_config.get("loc_by_alias", True):
        _use_wire_names(errors, wire_names)
    return value, errors


def _use_wire_names(errors: list[Any], wire_names: Mapping[Any, str]) -> None:
    """Say in each error's location what the client sent and not how the model calls it."""
    for error in errors:
        source, *path = error["loc"]
        if path and path[0] in wire_names:
            error["loc"] = (source, wire_names[path[0]], *path[1:])


def _received_alias(aliases: tuple[Alias, ...], received: Mapping[str, Any]) -> Alias:
    """Return the first alias that was received, the preferred one when none was."""
    return next((alias for alias in aliases if alias.request in received), aliases[0])


def _is_empty_file_input(value: Any) -> bool:
    return isinstance(value, UploadFile) and value.filename == "" and value.size == 0
