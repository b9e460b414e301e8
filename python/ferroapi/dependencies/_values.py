"""Path, query, header and cookie parameters: from what was received to validated values and errors.

Called by `_solve` once a source; `_body` shares its way of reading one name. It knows no dependencies.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Sized
from copy import deepcopy
from typing import Any

from starlette.datastructures import FormData, Headers, ImmutableMultiDict, QueryParams, UploadFile

from ferroapi._compat import ModelField, Undefined, get_missing_field_error
from ferroapi._received import GroupedHeaders, GroupedQuery
from ferroapi.dependencies._field import Alias, RequestField, request_field


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
        facts = request_field(field)
        if facts.parameter_model is None:
            value, field_errors = _single_value(field, facts, received_params, values)
        else:
            value, field_errors = _model_value(field, facts, received_params)
        if field_errors:
            errors.extend(field_errors)
        else:
            values[field.name] = value
    return values, errors


def validate_value(
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
    facts, received, name = request_field(field), values, alias
    value: Any
    if facts.is_repeated and isinstance(received, ImmutableMultiDict | Headers):
        value = received.getlist(name)
        if isinstance(received, FormData):
            value = [item for item in value if not _is_empty_file(item)]
    else:
        value = received.get(name)
    if value is None or (facts.is_sequence and isinstance(value, Sized) and len(value) == 0):
        return Undefined
    # Browsers send an empty text or a nameless file for a form input that was left blank.
    if isinstance(received, FormData) and (_is_empty_text(value) or _is_empty_file(value)):
        return Undefined
    return value


def read_extras(received: Mapping[str, Any], known: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield each received name that is not known with its value, or with all its values when it was repeated."""
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


def _single_value(
    field: ModelField, facts: RequestField, received: Mapping[str, Any], values: dict[str, Any]
) -> tuple[Any, list[Any]]:
    name = _received_alias(facts.aliases, received).request
    loc = (facts.location, name)
    value = _get_multidict_value(field, received, alias=name)
    return validate_value(field=field, value=value, values=values, loc=loc)


def _model_value(field: ModelField, facts: RequestField, received: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """Collect the fields of a parameter model, and every name it does not know, and validate them together."""
    is_headers = isinstance(received, Headers)
    names = facts.header_names if is_headers else facts.mapping_names
    data: dict[str, Any] = {}
    known: set[str] = set(names.hidden)
    wire_names: dict[Any, str] = {}
    for model_field, aliases in names.fields:
        alias = _received_alias(aliases, received)
        value = _get_multidict_value(model_field, received, alias=alias.request)
        if value is not Undefined:
            data[alias.validation] = value
        known.add(alias.request.lower() if is_headers else alias.request)
        if is_headers and alias.validation != alias.request:
            wire_names[model_field.name] = alias.request
    data.update(read_extras(received, known))

    model = facts.parameter_model
    assert model is not None
    is_absent = (
        field.field_info.annotation is not model
        and names.requested.isdisjoint(received)
        and not (data and model.model_config.get("extra") in ("allow", "forbid"))
    )
    value, errors = validate_value(
        field=field, value=Undefined if is_absent else data, values={}, loc=(facts.location,)
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
    preferred = aliases[0]
    if len(aliases) == 1:
        return preferred
    return next((alias for alias in aliases if alias.request in received), preferred)


def _is_empty_text(value: Any) -> bool:
    return isinstance(value, str) and value == ""


def _is_empty_file(value: Any) -> bool:
    return isinstance(value, UploadFile) and value.filename == "" and value.size == 0
