"""The body: from parsed JSON, raw bytes or a form to validated values and errors.

Called by the solver after the parameters of the same node. It reads no request and parses nothing but uploaded files.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Tag
from starlette.datastructures import FormData, UploadFile

from ferroapi import params
from ferroapi._compat import (
    ModelField,
    Undefined,
    get_cached_model_fields,
    get_missing_field_error,
    lenient_issubclass,
    sequence_types,
    serialize_sequence_value,
    value_is_sequence,
)
from ferroapi.dependencies._field import _get_form_models, request_field
from ferroapi.dependencies._values import (
    _get_multidict_extras,
    _get_multidict_value,
    _validate_value_with_model_field,
)


class FormItem(NamedTuple):
    """One name found in a form; `field` is None for a name that no field claims."""

    alias: str
    value: Any
    field: ModelField | None


class _Found(NamedTuple):
    """The value of one body field before validation, and where it came from."""

    value: Any
    loc: tuple[str, ...]


_Finder = Callable[[ModelField, Sequence[str]], _Found | None]
"""Finds the value of a field by its names, or nothing where there can be none."""


async def request_body_to_args(
    body_fields: list[ModelField], received_body: Any, embed_body_fields: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the values of the body fields by name, and the errors of those that have none.

    Raises: AssertionError without fields.
    Source: FastAPI behaviour, `dependencies.utils.request_body_to_args`.
    """
    assert body_fields, "request_body_to_args() should be called with fields"
    is_whole = _is_whole_body(body_fields, embed_body_fields)
    form = received_body if isinstance(received_body, FormData) else None
    items: list[FormItem] = []
    if form is not None and (alone := [field for field in body_fields if not request_field(field).form_models]):
        items = [FormItem(*item) async for item in _extract_form_body(alone, form)]
    if is_whole:
        field = body_fields[0]
        body = received_body if form is None else {item.alias: item.value for item in items}
        value, errors = _validate_value_with_model_field(field=field, value=body, values={}, loc=("body",))
        return {field.name: value}, errors

    values: dict[str, Any] = {}
    errors = []
    find = _json_finder(received_body) if form is None else _form_finder(items)
    for field in body_fields:
        facts = request_field(field)
        names = [alias.validation for alias in facts.aliases]
        if form is not None and (models := facts.form_models):
            found: _Found | None = _Found(await _extract_form_model(field, models, form), ("body",))
        else:
            found = find(field, names)
        if found is None:
            errors.append(get_missing_field_error(("body", names[0])))
            continue
        value, field_errors = _validate_value_with_model_field(
            field=field, value=found.value, values=values, loc=found.loc
        )
        if field_errors:
            errors.extend(field_errors)
        else:
            values[field.name] = value
    return values, errors


def _should_embed_body_fields(fields: list[ModelField]) -> bool:
    """Tell whether the body is an object with an entry a field, and not itself the value of the only field.

    Source: FastAPI behaviour, `dependencies.utils._should_embed_body_fields`.
    """
    if not fields:
        return False
    # One parameter may be asked for by several dependencies; it still is one.
    first, *others = fields
    if any(field.name != first.name for field in others):
        return True
    info = first.field_info
    if request_field(first).form_models and any(
        not request_field(other).form_models or other.field_info.annotation is not info.annotation for other in others
    ):
        return True
    if getattr(info, "embed", None):
        return True
    is_form_value = isinstance(info, params.Form) and not lenient_issubclass(info.annotation, BaseModel)
    return is_form_value and not request_field(first).form_models


def _is_whole_body(fields: list[ModelField], embed_body_fields: bool) -> bool:
    """Tell whether the body as it came is the value of the only field."""
    return (
        len(fields) == 1
        and not embed_body_fields
        and not _should_embed_body_fields(fields)
        and not request_field(fields[0]).form_models
    )


def _json_finder(body: Any) -> _Finder:
    """Return what looks a field up in a parsed body; a body that is no object has no field at all."""
    if body is Undefined or isinstance(body, bytes):
        return lambda field, names: _Found(Undefined, ("body", names[0]))
    get = getattr(body, "get", None)
    if get is None:
        return lambda field, names: None

    def find(field: ModelField, names: Sequence[str]) -> _Found:
        for name in names:
            value = get(name, Undefined)
            if value is not Undefined:
                return _Found(value, ("body", name))
        return _Found(Undefined, ("body", names[0]))

    return find


def _form_finder(items: Sequence[FormItem]) -> _Finder:
    """Return what looks a field up among the items read from a form."""
    found = {item.field.name: item for item in items if item.field is not None}

    def find(field: ModelField, names: Sequence[str]) -> _Found:
        item = found.get(field.name)
        if item is None:
            return _Found(Undefined, ("body", names[0]))
        return _Found(item.value, ("body", item.alias))

    return find


def _get_form_model(field: ModelField) -> type[BaseModel] | None:
    """Return the one model whose fields are read from a form, None for a union of them and for any other field."""
    models = _get_form_models(field)
    return models[0] if len(models) == 1 else None


def _is_form_model_supplied(model: type[BaseModel], received_body: FormData) -> bool:
    """Tell whether a form has anything that makes a difference to a model, be it only an empty text.

    Source: FastAPI behaviour, `dependencies.utils._is_form_model_supplied`.
    """
    names = {alias.validation for field in get_cached_model_fields(model) for alias in request_field(field).aliases}
    sees_extras = model.model_config.get("extra") in ("allow", "forbid")
    return not names.isdisjoint(received_body) or bool(sees_extras and received_body)


async def _extract_form_model(field: ModelField, models: list[type[BaseModel]], received_body: FormData) -> Any:
    """Return what a form has for the field's models, `Undefined` for an optional model of which nothing was sent.

    Source: FastAPI behaviour, `dependencies.utils._extract_form_model`.
    """
    is_nullable = request_field(field).is_nullable
    if is_nullable and not any(_is_form_model_supplied(model, received_body) for model in models):
        return Undefined
    # The members of a union read the form each in its own way, when they validate: `_normalize_form_model`.
    fields = get_cached_model_fields(models[0]) if len(models) == 1 else []
    return {alias: value async for alias, value, _ in _extract_form_body(fields, received_body)}


async def _extract_form_body(body_fields: list[ModelField], received_body: FormData) -> AsyncIterator[FormItem]:
    """Yield what `_extract_form_items` does, with the content of files that are declared as bytes.

    Source: FastAPI behaviour, `dependencies.utils._extract_form_body`.
    """
    for item in _extract_form_items(body_fields, received_body):
        yield await _with_file_content(FormItem(*item))


def _extract_form_items(body_fields: list[ModelField], received_body: FormData) -> Iterator[FormItem]:
    """Yield what a form has for each field under the first of its names that is filled in, then everything else.

    Source: FastAPI behaviour, `dependencies.utils._extract_form_items`.
    """
    tried: set[str] = set()
    for field in body_fields:
        for alias in request_field(field).aliases:
            tried.add(alias.validation)
            value = _get_multidict_value(field, received_body, alias=alias.validation)
            if value is not Undefined:
                yield FormItem(alias.validation, value, field)
                break
    for name, value in _get_multidict_extras(received_body, tried):
        yield FormItem(name, value, None)


async def _with_file_content(item: FormItem) -> FormItem:
    """Replace uploaded files by their content where the field is declared as bytes."""
    if item.field is None:
        return item
    facts = request_field(item.field)
    if not facts.is_file:
        return item
    if facts.is_bytes and isinstance(item.value, UploadFile):
        return item._replace(value=await _read_file_bytes(item.value))
    if facts.is_bytes_sequence and value_is_sequence(item.value):
        assert isinstance(item.value, sequence_types)
        contents = [await _read_file_bytes(part) if isinstance(part, UploadFile) else part for part in item.value]
        return item._replace(value=serialize_sequence_value(field=item.field, value=contents))
    return item


async def _read_file_bytes(file: UploadFile) -> bytes:
    """Read a file from where it stands to its end, and leave it where it stood for its other readers."""
    position = file.file.tell()
    try:
        return await file.read()
    finally:
        await file.seek(position)


def _add_form_union_validators(annotation: Any) -> Any:
    """Return a union of form models in which each member reads the raw form by its own fields' shapes."""
    return Union[tuple(map(_form_choice, get_args(annotation)))]  # noqa: UP007 - the members are known at run time only


def _form_choice(choice: Any) -> Any:
    if choice is type(None):
        return choice
    model, *metadata = get_args(choice) if get_origin(choice) is Annotated else (choice,)
    tags = [item for item in metadata if isinstance(item, Tag)]
    tag = tags[-1] if tags else Tag(model.__name__)
    return Annotated[choice, BeforeValidator(partial(_normalize_form_model, model=model)), tag]


def _normalize_form_model(value: Any, *, model: type[BaseModel]) -> Any:
    """Read already grouped form data again, as the form of this one model."""
    if not isinstance(value, dict):
        return value
    form = FormData([(name, item) for name, group in value.items() for item in _as_list(group)])
    normalized = {alias: item for alias, item, _ in _extract_form_items(get_cached_model_fields(model), form)}
    # A form cannot carry None or an empty list, but a default or an earlier validator can.
    return normalized | {name: item for name, item in value.items() if item is None or item == []}


def _as_list(group: Any) -> list[Any]:
    return group if isinstance(group, list) else [group]
