"""JSON schemas of plain types and models, read off pydantic's core schemas without its generator.

`v2.get_definitions` asks here first and leaves everything else to pydantic: None means "not plain", never "no schema".
Plain is what has one schema for validation and serialization, and nothing a user can hook into.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from types import NoneType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ferroapi.openapi.constants import REF_PREFIX
from ferroapi.types import UnionType

JsonSchema = dict[str, Any]

_BY_CLASS: dict[Any, JsonSchema] = {
    Any: {},
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "string", "format": "duration"},
    UUID: {"type": "string", "format": "uuid"},
}

# A core schema's own name of each type above, with the keys that leave the JSON schema as it is.
_BY_TYPE: dict[str, tuple[JsonSchema, frozenset[str]]] = {
    "any": ({}, frozenset()),
    "str": (_BY_CLASS[str], frozenset({"strict", "strip_whitespace"})),
    "int": (_BY_CLASS[int], frozenset({"strict"})),
    "float": (_BY_CLASS[float], frozenset({"strict", "allow_inf_nan"})),
    "bool": (_BY_CLASS[bool], frozenset({"strict"})),
    "date": (_BY_CLASS[date], frozenset({"strict"})),
    "datetime": (_BY_CLASS[datetime], frozenset({"strict", "microseconds_precision"})),
    "time": (_BY_CLASS[time], frozenset({"strict", "microseconds_precision"})),
    "timedelta": (_BY_CLASS[timedelta], frozenset({"strict", "microseconds_precision"})),
    "uuid": (_BY_CLASS[UUID], frozenset({"strict"})),
}
_NUMERIC = {
    "multiple_of": "multipleOf",
    "le": "maximum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "gt": "exclusiveMinimum",
}
_CONSTRAINTS: dict[str, dict[str, str]] = {
    "int": _NUMERIC,
    "float": _NUMERIC,
    "str": {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"},
    "list": {"min_length": "minItems", "max_length": "maxItems"},
    "dict": {"min_length": "minProperties", "max_length": "maxProperties"},
}

_MODEL_KEYS = frozenset(
    {"type", "cls", "schema", "config", "ref", "metadata", "custom_init", "root_model", "post_init", "frozen", "strict"}
)
_FIELDS_KEYS = frozenset({"type", "fields", "model_name", "computed_fields"})
_FIELD_KEYS = frozenset({"type", "schema", "validation_alias", "serialization_alias", "frozen"})
_DEFAULT_KEYS = frozenset(
    {"type", "schema", "default", "default_factory", "default_factory_takes_data", "validate_default", "copy_default"}
)
_PLAIN_CONFIG = frozenset(
    {
        "arbitrary_types_allowed",
        "from_attributes",
        "frozen",
        "populate_by_name",
        "protected_namespaces",
        "revalidate_instances",
        "str_strip_whitespace",
        "strict",
        "validate_assignment",
        "validate_by_name",
        "validate_default",
    }
)

_DESCRIBE_MODEL: Any = BaseModel.__get_pydantic_json_schema__
_MODEL_FUNCTIONS = [_DESCRIBE_MODEL.__func__]


class NotPlain(Exception):
    """Something whose description is left to pydantic."""


class PlainSchemas:
    """The JSON schemas of plain fields, and the definitions they refer to, for one document."""

    def __init__(self) -> None:
        self.definitions: dict[str, JsonSchema] = {}
        self.core_refs: dict[str, str] = {}
        """What pydantic calls each defined model, by the name of its definition."""
        self._models: dict[type[BaseModel], JsonSchema | None] = {}

    def of_field(self, info: FieldInfo, core_schema: Any) -> JsonSchema | None:
        """Return the schema of a field, None where it is not plain; `core_schema` is None if nothing was built yet."""
        try:
            return self._of_lazy_field(info) if core_schema is None else self._of(core_schema, {})
        except NotPlain:
            return None

    # From an annotation, where pydantic has built nothing yet.

    def _of_lazy_field(self, info: FieldInfo) -> JsonSchema:
        if info.json_schema_extra is not None or any((info.title, info.description, info.examples, info.deprecated)):
            raise NotPlain
        schema = self._of_annotation(info.annotation)
        if info.is_required() or info.default_factory is not None:
            return schema
        return _with_default(schema, info.default)

    def _of_annotation(self, annotation: Any) -> JsonSchema:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is None:
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                if not annotation.__pydantic_complete__:
                    raise NotPlain
                return self._of(annotation.__pydantic_core_schema__, {})
            schema: JsonSchema = _known(_BY_CLASS, annotation)
            return schema.copy()
        if origin in (Union, UnionType):
            if len(arguments) != 2 or arguments[1] is not NoneType:
                raise NotPlain
            return _nullable(self._of_annotation(arguments[0]))
        if origin is list and len(arguments) == 1:
            return {"type": "array", "items": self._of_annotation(arguments[0])}
        if origin is dict and len(arguments) == 2 and arguments[0] is str:
            return _mapping(self._of_annotation(arguments[1]))
        raise NotPlain

    # From a core schema.

    def _of(self, schema: Mapping[str, Any], shared: Mapping[str, Any]) -> JsonSchema:
        kind: str = schema["type"]
        if kind == "model":
            return self._of_model(schema, shared)
        if kind == "definitions" and not schema.get("metadata"):
            below = {each["ref"]: each for each in schema["definitions"]}
            return self._of(schema["schema"], {**shared, **below})
        if kind == "definition-ref" and schema.keys() == {"type", "schema_ref"}:
            return self._of_model(_known(shared, schema["schema_ref"]), shared)
        if "ref" in schema or "serialization" in schema:
            raise NotPlain
        updates = _updates(schema)
        described = (
            {**_OF_KIND[kind](self, schema, shared), **updates} if kind in _OF_KIND else _scalar(schema, updates)
        )
        if updates and "$ref" in described:
            raise NotPlain
        return described

    def _of_model(self, schema: Mapping[str, Any], shared: Mapping[str, Any]) -> JsonSchema:
        # One model may occur with different metadata: what a parameter says of it is added to its schema.
        if schema["type"] != "model" or not _is_plain_model(schema["cls"], schema):
            raise NotPlain
        model = schema["cls"]
        if model not in self._models:
            # Not plain until it is defined: pydantic makes two schemas of a model that holds itself, however alike.
            self._models[model] = None
            self._define(model, schema, shared)
            self._models[model] = {"$ref": REF_PREFIX + model.__name__}
        reference = self._models[model]
        if reference is None:
            raise NotPlain
        return reference.copy()

    def _define(self, model: type[BaseModel], schema: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        name = model.__name__
        if name in self.core_refs:
            raise NotPlain
        self.core_refs[name] = schema["ref"]
        fields = schema["schema"]
        properties: dict[str, JsonSchema] = {}
        required: list[str] = []
        for field_name, field in fields["fields"].items():
            alias = _alias(field, field_name)
            described = {**self._of(field["schema"], shared), **_updates(field)}
            _only(field, _FIELD_KEYS)
            if "title" not in described and not _names_itself(field["schema"]):
                described["title"] = alias.title().replace("_", " ").strip()
            if "$ref" in described and len(described) > 1:
                raise NotPlain
            properties[alias] = dict(sorted(described.items()))
            if field["schema"]["type"] != "default":
                required.append(alias)
        definition = {"properties": properties, "title": name, "type": "object"}
        if required:
            definition["required"] = required
        if model.__doc__ and model is not BaseModel:
            definition["description"] = inspect.cleandoc(model.__doc__)
        self.definitions[name] = dict(sorted(definition.items()))

    def _of_default(self, schema: Mapping[str, Any], shared: Mapping[str, Any]) -> JsonSchema:
        _only(schema, _DEFAULT_KEYS)
        inner = self._of(schema["schema"], shared)
        return _with_default(inner, schema["default"]) if "default" in schema else inner

    def _of_nullable(self, schema: Mapping[str, Any], shared: Mapping[str, Any]) -> JsonSchema:
        _only(schema, {"type", "schema"})
        return _nullable(self._of(schema["schema"], shared))

    def _of_list(self, schema: Mapping[str, Any], shared: Mapping[str, Any]) -> JsonSchema:
        _only(schema, {"type", "items_schema", "strict", *_CONSTRAINTS["list"]})
        items = self._of(schema["items_schema"], shared) if "items_schema" in schema else {}
        return {"type": "array", "items": items, **_constraints(schema)}

    def _of_dict(self, schema: Mapping[str, Any], shared: Mapping[str, Any]) -> JsonSchema:
        _only(schema, {"type", "keys_schema", "values_schema", "strict", *_CONSTRAINTS["dict"]})
        if schema.get("keys_schema", {"type": "str"}) != {"type": "str"}:
            raise NotPlain
        values = self._of(schema["values_schema"], shared) if "values_schema" in schema else {}
        return {**_mapping(values), **_constraints(schema)}

    def _of_literal(self, schema: Mapping[str, Any], shared: Mapping[str, Any]) -> JsonSchema:
        _only(schema, {"type", "expected"})
        expected = schema["expected"]
        classes = {type(each) for each in expected}
        if classes not in ({str}, {int}):
            raise NotPlain
        values = {"const": expected[0]} if len(expected) == 1 else {"enum": list(expected)}
        return {**values, **_BY_CLASS[classes.pop()]}


_OF_KIND: dict[str, Callable[[PlainSchemas, Mapping[str, Any], Mapping[str, Any]], JsonSchema]] = {
    "default": PlainSchemas._of_default,
    "nullable": PlainSchemas._of_nullable,
    "list": PlainSchemas._of_list,
    "dict": PlainSchemas._of_dict,
    "literal": PlainSchemas._of_literal,
}


def _known(table: Mapping[Any, Any], key: Any) -> Any:
    try:
        return table[key]
    except (KeyError, TypeError):
        raise NotPlain from None


def _only(schema: Mapping[str, Any], keys: "frozenset[str] | set[str]") -> None:
    if not schema.keys() - {"metadata"} <= keys:
        raise NotPlain


def _updates(schema: Mapping[str, Any]) -> JsonSchema:
    """Return what a `Field` says of the value: title, description, examples, deprecation."""
    metadata = schema.get("metadata")
    if not metadata:
        return {}
    if metadata.keys() != {"pydantic_js_updates"}:
        raise NotPlain
    updates: JsonSchema = metadata["pydantic_js_updates"] or {}
    return updates


def _scalar(schema: Mapping[str, Any], updates: JsonSchema) -> JsonSchema:
    base, harmless = _known(_BY_TYPE, schema["type"])
    extra = schema.keys() - harmless
    if len(extra) == 1:
        return {**base, **updates}
    _only(schema, {"type", *harmless, *_CONSTRAINTS.get(schema["type"], ())})
    return {**base, **_constraints(schema), **updates}


def _is_number_or_text(value: Any) -> bool:
    return type(value) in (int, str) or (type(value) is float and math.isfinite(value))


def _constraints(schema: Mapping[str, Any]) -> JsonSchema:
    found = {name: schema[key] for key, name in _CONSTRAINTS.get(schema["type"], {}).items() if key in schema}
    if not all(map(_is_number_or_text, found.values())):
        raise NotPlain
    return found


def _with_default(schema: JsonSchema, default: Any) -> JsonSchema:
    if "$ref" in schema or not is_json(default):
        raise NotPlain
    return {**schema, "default": default}


def is_json(value: Any) -> bool:
    """Tell whether pydantic encodes a default as the value itself."""
    is_empty = type(value) in (list, dict) and not value
    return value is None or type(value) is bool or is_empty or _is_number_or_text(value)


def _nullable(schema: JsonSchema) -> JsonSchema:
    if "anyOf" in schema:
        raise NotPlain
    return {"anyOf": [schema, {"type": "null"}]}


def _mapping(values: JsonSchema) -> JsonSchema:
    values.pop("title", None)
    return {"type": "object", "additionalProperties": values or True}


def _alias(field: Mapping[str, Any], name: str) -> str:
    alias = field.get("validation_alias", name)
    if not isinstance(alias, str) or field.get("serialization_alias", name) != alias:
        raise NotPlain
    return alias


def _names_itself(schema: Mapping[str, Any]) -> bool:
    """Whether a field's schema is a reference, possibly nullable or with a default: the model has its own title."""
    while schema["type"] in ("default", "nullable", "definitions"):
        schema = schema["schema"]
    return schema["type"] in ("model", "definition-ref")


def _is_plain_model(model: type[BaseModel], schema: Mapping[str, Any]) -> bool:
    functions = schema.get("metadata", {})
    name = schema["ref"].rpartition(":")[0].rpartition(".")[2]
    return (
        schema.keys() <= _MODEL_KEYS
        and not schema.get("root_model")
        and schema["schema"]["type"] == "model-fields"
        and schema["schema"].keys() <= _FIELDS_KEYS
        and not schema["schema"].get("computed_fields")
        and functions.keys() == {"pydantic_js_functions"}
        and [getattr(each, "__func__", each) for each in functions["pydantic_js_functions"]] == _MODEL_FUNCTIONS
        and model.model_config.keys() <= _PLAIN_CONFIG
        and not hasattr(model, "__deprecated__")
        and model.__name__ == name
        and name.isidentifier()
        and name.isascii()
    )
