"""The one field that stands for a route's whole body, and its JSON schema.

Made at registration for the OpenAPI document and for reading the body by media type; values come from `_body`.
"""

from collections.abc import Sequence
from copy import copy, deepcopy
from functools import partial
from typing import Annotated, Any, cast

from pydantic import AliasChoices, BaseModel, ConfigDict, GetJsonSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema

from ferroapi import params
from ferroapi._compat import ModelField, create_body_model, get_cached_model_fields
from ferroapi.dependencies._field import get_validation_alias, request_field
from ferroapi.utils import create_model_field


def _get_body_field(*, body_params: list[ModelField], name: str, embed_body_fields: bool) -> ModelField | None:
    """Return the field for all body parameters together, None without any; `name` is the operation's id.

    Source: FastAPI behaviour, `dependencies.utils._get_body_field`.
    """
    if not body_params:
        return None
    first = body_params[0]
    form_params = [
        field for field in body_params if isinstance(field.field_info, params.Form) and request_field(field).form_models
    ]
    if not embed_body_fields and not any(request_field(field).is_nullable for field in form_params):
        return first
    fields, config = body_params, None
    if form_params:
        # Under names that cannot collide; `_apply_form_body_schema` takes them off again.
        fields = [_numbered_field(field, f"field_{index}") for index, field in enumerate(body_params)]
        config = ConfigDict(json_schema_extra=partial(_apply_form_body_schema, body_params))
    body_model = create_body_model(fields=fields, model_name="Body_" + name, config=config)
    if embed_body_fields:
        return _embedding_field(body_params, body_model)
    info = copy(first.field_info)
    info.annotation = body_model
    info.metadata = []
    info.discriminator = None
    return ModelField(name=first.name, field_info=info)


def _embedding_field(body_params: Sequence[ModelField], body_model: type[BaseModel]) -> ModelField:
    kind = _body_kind(body_params)
    options: dict[str, Any] = {"annotation": body_model, "alias": "body"}
    if not any(field.field_info.is_required() for field in body_params):
        options["default"] = None
    media_type = _media_type(body_params, kind)
    if media_type is not None:
        options["media_type"] = media_type
    return create_model_field(name="body", type_=body_model, alias="body", field_info=kind(**options))


def _body_kind(body_params: Sequence[ModelField]) -> type[params.Body]:
    """Return the kind of the whole body: one file makes it multipart, one form field makes it a form."""
    for kind in (params.File, params.Form):
        if any(isinstance(field.field_info, kind) for field in body_params):
            return kind
    return params.Body


def _media_type(body_params: Sequence[ModelField], kind: type[params.Body]) -> str | None:
    """Return the media type the parameters agree on, None to keep the kind's own."""
    if kind is params.File:
        return None
    declared: list[Any] = [field.field_info.media_type for field in body_params if isinstance(field.field_info, kind)]
    if kind is params.Form and "multipart/form-data" in declared:
        return "multipart/form-data"
    return declared[0] if len(set(declared)) == 1 else None


def _numbered_field(field: ModelField, name: str) -> ModelField:
    info = copy(field.field_info)
    models = request_field(field).form_models
    if len(models) == 1:
        model = models[0]
        with_schema: Any = Annotated[
            cast(Any, model), GetPydanticSchema(get_pydantic_json_schema=partial(_get_form_model_schema, model))
        ]
        info.annotation = with_schema if info.annotation is model else with_schema | None
    info.alias = info.validation_alias = info.serialization_alias = name
    info.title = info.title or field.name.replace("_", " ").title()
    return ModelField(name=name, field_info=info)


def _get_form_model_schema(
    model: type[BaseModel], core_schema: CoreSchema, handler: GetJsonSchemaHandler
) -> dict[str, Any]:
    """Return the model's JSON schema with the names its fields have in a form."""
    schema = handler(core_schema)
    model_schema = handler.resolve_ref_schema(schema)
    required = model_schema.get("required", [])
    renamed = _form_names(model, model_schema.get("properties", {}), required)
    if not renamed:
        return schema
    # The original is a shared definition; other uses of the model keep it.
    model_schema = deepcopy(model_schema)
    model_schema["properties"] = {
        renamed.get(name, [name])[0]: value for name, value in model_schema["properties"].items()
    }
    model_schema["required"] = []
    for name in required:
        names = renamed.get(name, [name])
        if len(names) == 1:
            model_schema["required"].append(names[0])
        else:
            any_name = {"anyOf": [{"required": [choice]} for choice in names]}
            model_schema.setdefault("allOf", []).append(any_name)
    return model_schema


def _form_names(model: type[BaseModel], properties: dict[str, Any], required: Sequence[str]) -> dict[str, list[str]]:
    """Return, by their name in the schema, the form names of the fields that pydantic's schema does not tell."""
    renamed: dict[str, list[str]] = {}
    for field in get_cached_model_fields(model):
        declared = field.field_info.validation_alias
        schema_name = declared.choices[0] if isinstance(declared, AliasChoices) else get_validation_alias(field)
        if not isinstance(schema_name, str) or schema_name not in properties:
            continue
        names = [alias.validation for alias in request_field(field).aliases]
        if names[0] != schema_name or (len(names) > 1 and schema_name in required):
            renamed[schema_name] = names
    return renamed


def _apply_form_body_schema(body_params: Sequence[ModelField], schema: dict[str, Any]) -> None:
    """Rewrite a schema of numbered properties into one of what the form may hold, in place."""
    numbered = schema.pop("properties")
    schema.pop("required", None)
    properties: dict[str, Any] = {}
    required: list[str] = []
    conditions: list[dict[str, Any]] = []
    for index, field in enumerate(body_params):
        field_schema = numbered[f"field_{index}"]
        if request_field(field).form_models:
            conditions.extend(_form_model_conditions(field, field_schema))
            continue
        name = request_field(field).aliases[0].validation
        if name in properties:
            conditions.append({"properties": {name: field_schema}})
        else:
            properties[name] = field_schema
        if field.field_info.is_required() and name not in required:
            required.append(name)
    if properties:
        schema["properties"] = properties
    if required:
        schema["required"] = required
    schema["allOf"] = conditions


def _form_model_conditions(field: ModelField, field_schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a form must satisfy for one field that is read from a model's fields."""
    facts = request_field(field)
    field_schema.pop("default", None)
    if not facts.is_nullable:
        return [field_schema]
    field_schema["anyOf"] = [choice for choice in field_schema["anyOf"] if choice.get("type") != "null"]
    absent = _absent_form_schema(field)
    if field.field_info.is_required():
        return [{"not": absent}, field_schema]
    return [{"anyOf": [absent, field_schema]}]


def _absent_form_schema(field: ModelField) -> dict[str, Any]:
    """Return the schema of a form that holds nothing for an optional form model."""
    models = request_field(field).form_models
    if any(model.model_config.get("extra") in ("allow", "forbid") for model in models):
        return {"maxProperties": 0}
    fields = [each for model in models for each in get_cached_model_fields(model)]
    names = {alias.validation for each in fields for alias in request_field(each).aliases}
    if not names:
        return {}
    return {"not": {"anyOf": [{"required": [name]} for name in sorted(names)]}}
