"""Fields over pydantic 2: `ModelField`, and the JSON schema definitions of a set of them.

Registration makes the fields, the request path runs their adapters, OpenAPI asks for their definitions. Pydantic looks
names up in the module that calls it, which is this one: each public name here stands in FastAPI's `_compat.v2` too.
"""

import re
import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, is_dataclass
from enum import Enum
from functools import cached_property as _cached_property
from functools import lru_cache
from threading import RLock as _RLock
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from typing import cast as cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic import GetJsonSchemaHandler as GetJsonSchemaHandler
from pydantic import PydanticSchemaGenerationError as PydanticSchemaGenerationError
from pydantic import PydanticUndefinedAnnotation as PydanticUndefinedAnnotation
from pydantic import ValidationError as ValidationError
from pydantic._internal import _typing_extra as _pydantic_typing_extra
from pydantic.fields import FieldInfo as FieldInfo
from pydantic.json_schema import GenerateJsonSchema as _GenerateJsonSchema
from pydantic.json_schema import JsonSchemaValue as JsonSchemaValue
from pydantic.warnings import UnsupportedFieldAttributeWarning as _UnsupportedFieldAttributeWarning
from pydantic_core import CoreSchema as CoreSchema
from pydantic_core import PydanticUndefined
from pydantic_core import Url as Url
from pydantic_core.core_schema import with_info_plain_validator_function as with_info_plain_validator_function

from ferroapi._compat import shared
from ferroapi._compat.declared import Declared as _Declared
from ferroapi._compat.plain_annotations import has_reference as _has_reference
from ferroapi._compat.plain_annotations import is_plain as _is_plain
from ferroapi._compat.plain_schemas import PlainSchemas as _PlainSchemas
from ferroapi._compat.plain_schemas import is_json as _is_json
from ferroapi._compat.shared import lenient_issubclass
from ferroapi.openapi.constants import REF_TEMPLATE
from ferroapi.types import IncEx, ModelNameMap, UnionType

RequiredParam = PydanticUndefined
Undefined = PydanticUndefined

_Location = tuple[int | str, ...]
_Mode = Literal["validation", "serialization"]
TypeModelOrEnum = type[BaseModel] | type[Enum]
TypeModelSet = set[TypeModelOrEnum]


def evaluate_forwardref(
    value: Any, globalns: dict[str, Any] | None = None, localns: dict[str, Any] | None = None
) -> Any:
    """Evaluate a forward reference; one whose names are not defined yet is returned as it is."""
    return _pydantic_typing_extra.try_eval_type(value, globalns, localns)[0]


class GenerateJsonSchema(_GenerateJsonSchema):
    """pydantic's generator, except that bytes are described the OpenAPI 3.1 way, by their media type."""

    def bytes_schema(self, schema: CoreSchema) -> JsonSchemaValue:
        """Describe bytes as a string of `application/octet-stream`, with its encoding where that is base64."""
        bytes_mode = self._config.ser_json_bytes if self.mode == "serialization" else self._config.val_json_bytes
        json_schema: JsonSchemaValue = {"type": "string", "contentMediaType": "application/octet-stream"}
        if bytes_mode == "base64":
            json_schema["contentEncoding"] = "base64"
        self.update_with_validations(json_schema, schema, self.ValidationsMapping.bytes)
        return json_schema

    def encode_default(self, dft: Any) -> Any:
        """Return a default as JSON has it; most are JSON already, and need no adapter to become it."""
        return dft if _is_json(dft) else super().encode_default(dft)

    def get_defs_ref(self, core_mode_ref: Any) -> Any:
        """Return the key of a definition, and remember what it was asked for."""
        self._core_refs.add(core_mode_ref[0])
        return super().get_defs_ref(core_mode_ref)

    @_cached_property
    def _core_refs(self) -> set[str]:
        return set()

    def meets(self, core_refs: dict[str, str]) -> bool:
        """Tell whether a definition was made that would be called as one of `core_refs` without being the same."""
        for core_ref in self._core_refs:
            name = re.split(r"[:\[]", core_ref)[0].rpartition(".")[2]
            if core_refs.get(name, core_ref) != core_ref:
                return True
        return False


# --- A field info taken apart ---


def asdict(field_info: FieldInfo) -> dict[str, Any]:
    """Take a field info apart into its annotation, its metadata and the attributes that have a value."""
    parts: dict[str, Any] = {**field_info.asdict()}
    parts["attributes"] = {name: value for name, value in parts["attributes"].items() if value is not Undefined}
    return parts


def copy_field_info(*, field_info: FieldInfo, annotation: Any) -> FieldInfo:
    """Copy a field info: its class and own attributes stay, what pydantic knows is taken from `annotation`."""
    merged = type(field_info).from_annotation(annotation)
    copied = copy(field_info)
    for name, value in asdict(merged)["attributes"].items():
        setattr(copied, name, value)
    copied._attributes_set = merged._attributes_set.copy()
    copied.metadata = merged.metadata
    copied.annotation = merged.annotation
    return copied


# --- The field ---

_MADE_WITH = TypeAdapter, Field, asdict
"""What an adapter is made with. What was put in the place of one of them is asked where the field is declared."""

_warning_filters = _RLock()
"""Held while the filters of warnings, which all threads share, are changed: routes compile on their first use."""


class _Versioned:
    """Has a new version after each assignment to an attribute; what is derived from it is kept in slots beside."""

    __slots__ = ("_declared", "_facts", "_version")

    _declared: _Declared
    _facts: Any
    _version: object

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        object.__setattr__(self, "_version", object())

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        object.__setattr__(self, "_version", object())

    @property
    def _is_edited(self) -> bool:
        """Whether an attribute was assigned to after this was made."""
        return hasattr(self, "_version")


@dataclass(init=False)
class ModelField(_Versioned):
    """A named value with its field info, validated and serialized by one pydantic `TypeAdapter`.

    Two fields are equal by value and hashed by identity.

    Raises:
        PydanticSchemaGenerationError: pydantic has no schema for the annotation.
    """

    field_info: FieldInfo
    name: str
    mode: _Mode = "validation"
    config: ConfigDict | None = None

    def __init__(
        self, field_info: FieldInfo, name: str, mode: _Mode = "validation", config: ConfigDict | None = None
    ) -> None:
        # Nobody can have seen it before: it needs no version yet.
        assign = object.__setattr__
        assign(self, "field_info", field_info)
        assign(self, "name", name)
        assign(self, "mode", mode)
        assign(self, "config", config)
        self.__post_init__()

    def __post_init__(self) -> None:
        # An adapter that could fail is built now, so that the mistake shows where the route is declared. The others
        # wait for their first use: most fields of a large application are never reached by a given process.
        if self.config or (TypeAdapter, Field, asdict) != _MADE_WITH or not _is_plain(self.field_info):
            self._type_adapter  # noqa: B018
        else:
            object.__setattr__(self, "_declared", _Declared.of(self.field_info.annotation))

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has: the adapter of the declaration, and nothing that is derived."""
        self._type_adapter  # noqa: B018
        return self.__dict__.copy()

    @_cached_property
    def _type_adapter(self) -> TypeAdapter[Any]:
        parts = asdict(self.field_info)
        declared: _Declared = getattr(self, "_declared", None) or _Declared(self.field_info.annotation, ())
        with _warning_filters, declared.models_as_they_were(), warnings.catch_warnings():
            # Aliases mean something for a parameter, although not for the bare adapter pydantic warns about.
            warnings.simplefilter("ignore", category=_UnsupportedFieldAttributeWarning)
            arguments: Any = (declared.annotation, *parts["metadata"], Field(**parts["attributes"]))
            annotation: Any = Annotated[arguments]  # pyright: ignore[reportInvalidTypeForm]
            return TypeAdapter(annotation, config=self.config)

    @property
    def alias(self) -> str:
        """The alias of the field info, else the field's name."""
        alias = self.field_info.alias
        return self.name if alias is None else alias

    @property
    def validation_alias(self) -> str | None:
        """The validation alias where it is a non-empty string: paths and choices are none."""
        alias = self.field_info.validation_alias
        return alias if isinstance(alias, str) and alias else None

    @property
    def serialization_alias(self) -> str | None:
        """The serialization alias, None where it is empty."""
        return self.field_info.serialization_alias or None

    @property
    def default(self) -> Any:
        """The default value, `Undefined` for a required field."""
        return self.get_default()

    def get_default(self) -> Any:
        """Return the default, calling its factory; `Undefined` for a required field."""
        return Undefined if self.field_info.is_required() else self.field_info.get_default(call_default_factory=True)

    def validate(
        self,
        value: Any,
        values: dict[str, Any] = {},  # noqa: B006 # FastAPI's default; it is not used
        *,
        loc: _Location = (),
    ) -> tuple[Any, list[dict[str, Any]]]:
        """Validate a value: the result and no errors, or None and the errors, each located under `loc`."""
        try:
            return self._type_adapter.validate_python(value, from_attributes=True), []
        except ValidationError as error:
            if _regenerate_error_with_loc is _MEANT:
                return None, _located(error, loc)
            return None, _regenerate_error_with_loc(errors=error.errors(include_url=False), loc_prefix=loc)

    def serialize(
        self,
        value: Any,
        *,
        mode: Literal["json", "python"] = "json",
        include: IncEx | None = None,
        exclude: IncEx | None = None,
        by_alias: bool = True,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> Any:
        """Return the value as plain Python objects, JSON's types only where `mode` is `json`."""
        return self._type_adapter.dump_python(
            value,
            mode=mode,
            include=include,
            exclude=exclude,
            by_alias=by_alias,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )

    def serialize_json(
        self,
        value: Any,
        *,
        include: IncEx | None = None,
        exclude: IncEx | None = None,
        by_alias: bool = True,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> bytes:
        """Return the value as JSON in UTF-8, without the detour over Python objects."""
        return self._type_adapter.dump_json(
            value,
            include=include,
            exclude=exclude,
            by_alias=by_alias,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )

    def __hash__(self) -> int:
        # Field infos are not hashable, and fields are keys of the schema mapping.
        return id(self)


def _regenerate_error_with_loc(*, errors: Sequence[Any], loc_prefix: _Location) -> list[dict[str, Any]]:
    return [{**error, "loc": loc_prefix + error.get("loc", ())} for error in errors]


_MEANT = _regenerate_error_with_loc
"""What `_located` stands for."""


def _located(error: ValidationError, loc: _Location) -> list[dict[str, Any]]:
    """Return the errors in one of pydantic's, each under `loc`. There may be very many: they are made only once."""
    errors: list[Any] = error.errors(include_url=False)
    for each in errors:
        each["loc"] = loc + each["loc"]
    return errors


def get_missing_field_error(loc: _Location) -> dict[str, Any]:
    """Return the error of a required value that is absent.

    Source: FastAPI behaviour, `_compat.v2.get_missing_field_error`.
    """
    details: Any = [{"type": "missing", "loc": loc, "input": {}}]
    error: Any = ValidationError.from_exception_data("Field required", details).errors(include_url=False)[0]
    return {**error, "input": None}


def is_scalar_field(field: ModelField) -> bool:
    """Tell whether one string can carry the field's value and it was not declared as part of the body."""
    from ferroapi import params  # it imports this module

    return shared.field_annotation_is_scalar(field.field_info.annotation) and not isinstance(
        field.field_info, params.Body
    )


def serialize_sequence_value(*, field: ModelField, value: Any) -> Sequence[Any]:
    """Build the sequence type a field declares from any iterable.

    A union counts as its first member that is not None.
    """
    annotation: Any = field.field_info.annotation
    if get_origin(annotation) in (Union, UnionType):
        annotation = next((member for member in get_args(annotation) if member is not type(None)), annotation)
    sequence_class = get_origin(annotation) or annotation
    assert issubclass(sequence_class, shared.sequence_types)
    built: Sequence[Any] = shared.sequence_annotation_to_type[sequence_class](value)
    return built


# --- Models to fields and fields to models ---


def create_body_model(
    *, fields: Sequence[ModelField], model_name: str, config: ConfigDict | None = None
) -> type[BaseModel]:
    """Create the model of a body whose members were declared as separate parameters."""
    definitions: dict[str, Any] = {field.name: (field.field_info.annotation, field.field_info) for field in fields}
    model: type[BaseModel] = create_model(model_name, __config__=config, **definitions)
    return model


def get_model_fields(model: type[BaseModel]) -> list[ModelField]:
    """Return a field for each field of a model, under the model's configuration where pydantic allows one."""

    def takes_own_config(annotation: Any) -> bool:
        return lenient_issubclass(annotation, (BaseModel, dict)) or is_dataclass(annotation)

    return [
        ModelField(
            field_info=field_info,
            name=name,
            config=None if takes_own_config(field_info.annotation) else model.model_config,
        )
        for name, field_info in model.model_fields.items()
    ]


@lru_cache
def get_cached_model_fields(model: type[BaseModel]) -> list[ModelField]:
    """Return `get_model_fields(model)`, the same list each time."""
    return get_model_fields(model)


def normalize_name(name: str) -> str:
    """Replace by `_` each character that may not stand in the name of an OpenAPI component."""
    return re.sub(r"[^a-zA-Z0-9.\-_]", "_", name)


def get_model_name_map(unique_models: TypeModelSet) -> dict[TypeModelOrEnum, str]:
    """Name each model for OpenAPI; of models with the same name only the last keeps it."""
    models_by_name = {normalize_name(model.__name__): model for model in unique_models}
    return {model: name for name, model in models_by_name.items()}


# --- The models that fields reach ---


def get_flat_models_from_model(model: type[BaseModel], known_models: TypeModelSet | None = None) -> TypeModelSet:
    """Add the models and enums that a model's fields reach to `known_models`, and return it."""
    known_models = set() if known_models is None else known_models
    return get_flat_models_from_fields(get_model_fields(model), known_models)


def get_flat_models_from_annotation(annotation: Any, known_models: TypeModelSet) -> TypeModelSet:
    """Add the models and enums among an annotation's arguments, at any depth, to `known_models`, and return it."""
    for argument in get_args(annotation):
        _add_models(argument, known_models)
    return known_models


def get_flat_models_from_field(field: ModelField, known_models: TypeModelSet) -> TypeModelSet:
    """Add the models and enums a field reaches to `known_models`, and return it."""
    _add_models(field.field_info.annotation, known_models)
    return known_models


def get_flat_models_from_fields(fields: Sequence[ModelField], known_models: TypeModelSet) -> TypeModelSet:
    """Add the models and enums that fields reach to `known_models`, and return it."""
    for field in fields:
        get_flat_models_from_field(field, known_models=known_models)
    return known_models


def _add_models(annotation: Any, known_models: TypeModelSet) -> None:
    if lenient_issubclass(annotation, Enum):
        known_models.add(annotation)
    elif not lenient_issubclass(annotation, BaseModel):
        get_flat_models_from_annotation(annotation, known_models)
    elif annotation not in known_models:
        known_models.add(annotation)
        get_flat_models_from_model(annotation, known_models)


# --- JSON schema ---

_FieldMapping = dict[tuple[ModelField, _Mode], JsonSchemaValue]


def _annotation_has_computed_fields(annotation: Any, known_models: set[type[BaseModel]]) -> bool:
    if not lenient_issubclass(annotation, BaseModel):
        return any(_annotation_has_computed_fields(argument, known_models) for argument in get_args(annotation))
    if annotation in known_models:
        return False
    known_models.add(annotation)
    return bool(annotation.model_computed_fields) or any(
        _annotation_has_computed_fields(field_info.annotation, known_models)
        for field_info in annotation.model_fields.values()
    )


def _has_computed_fields(field: ModelField) -> bool:
    if _annotation_has_computed_fields(field.field_info.annotation, set()):
        return True
    if _is_plain(field.field_info):
        return False
    # A dataclass's are only in its core schema.
    inner_schema: Any = field._type_adapter.core_schema.get("schema", {})
    return bool(inner_schema.get("computed_fields"))


def _schema_mode(field: ModelField, separate_input_output_schemas: bool) -> _Mode:
    """Return the mode a field is described in: one schema serves both ways unless output has fields of its own."""
    return field.mode if separate_input_output_schemas or _has_computed_fields(field) else "validation"


def get_schema_from_model_field(
    *,
    field: ModelField,
    model_name_map: ModelNameMap,
    field_mapping: _FieldMapping,
    separate_input_output_schemas: bool = True,
    field_alias: str | None = None,
) -> dict[str, Any]:
    """Return a field's JSON schema, titled after its alias unless it is a bare reference."""
    json_schema = field_mapping[field, _schema_mode(field, separate_input_output_schemas)].copy()
    if "$ref" not in json_schema:
        mode_alias = field.validation_alias if field.mode == "validation" else field.serialization_alias
        title_source = field_alias if field_alias is not None else mode_alias or field.alias
        json_schema["title"] = field.field_info.title or title_source.title().replace("_", " ")
    return json_schema


def get_definitions(
    *,
    fields: Sequence[ModelField],
    model_name_map: ModelNameMap,
    separate_input_output_schemas: bool = True,
) -> tuple[_FieldMapping, dict[str, dict[str, Any]]]:
    """Return the JSON schema of each field and the definitions they refer to.

    The definitions include every model and enum that a field reaches. A description ends at its first form feed, by
    which the author of a model hides the rest of its docstring.
    """
    plain = _PlainSchemas()
    is_asked = _writing_of_schemas() != _KNOWN_WRITING
    schemas, others = ({}, fields) if is_asked else _describe_plain(fields, plain, separate_input_output_schemas)
    generator = GenerateJsonSchema(ref_template=REF_TEMPLATE)
    field_mapping, definitions = _generate(generator, others, separate_input_output_schemas)
    if not is_asked and generator.meets(plain.core_refs):
        # Two classes of one name: pydantic decides which names keep them apart, and must see all of them.
        generator = GenerateJsonSchema(ref_template=REF_TEMPLATE)
        schemas, plain = {}, _PlainSchemas()
        field_mapping, definitions = _generate(generator, fields, separate_input_output_schemas)
    definitions = dict(sorted({**plain.definitions, **definitions}.items()))
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = definition["description"].split("\f")[0]
    return {**field_mapping, **schemas}, definitions


def _writing_of_schemas() -> list[Any]:
    """Return what decides how a schema is written: where it is referred to, and the class that writes it."""
    return [REF_TEMPLATE, *(dict(vars(each)) for each in GenerateJsonSchema.__mro__[:-1])]


_KNOWN_WRITING = _writing_of_schemas()


def _describe_plain(
    fields: Sequence[ModelField], plain: _PlainSchemas, separate_input_output_schemas: bool
) -> tuple[_FieldMapping, list[ModelField]]:
    """Return the schemas of the plain fields, and the fields that are left to pydantic."""
    schemas: _FieldMapping = {}
    others: list[ModelField] = []
    for field in fields:
        adapter: TypeAdapter[Any] | None = field.__dict__.get("_type_adapter")
        if adapter is None and not field._declared.is_current(field.field_info.annotation):
            adapter = field._type_adapter
        schema = None
        # What a forward reference stands for is known to the adapter only, and no model of the annotation.
        is_known = _is_plain(field.field_info) or (adapter and not _has_reference(field.field_info.annotation))
        if type(field) is ModelField and not field.config and is_known:
            schema = plain.of_field(field.field_info, adapter and adapter.core_schema)
        if schema is None:
            others.append(field)
        else:
            schemas[field, _schema_mode(field, separate_input_output_schemas)] = schema
    return schemas, others


def _generate(
    generator: GenerateJsonSchema, fields: Sequence[ModelField], separate_input_output_schemas: bool
) -> tuple[_FieldMapping, dict[str, dict[str, Any]]]:
    """Return pydantic's schemas of fields and of every model and enum they reach."""
    annotations = {field.field_info.annotation for field in fields}
    described = list(fields)
    modes: tuple[_Mode, ...] = ("validation", "serialization")
    for mode in modes:
        models = get_flat_models_from_fields([field for field in fields if field.mode == mode], known_models=set())
        described += [
            ModelField(field_info=FieldInfo(annotation=model), name=model.__name__, mode=mode)
            for model in models
            if model not in annotations
        ]
    mapping: Any = generator.generate_definitions(
        inputs=[
            (field, _schema_mode(field, separate_input_output_schemas), field._type_adapter.core_schema)
            for field in described
        ]
    )
    return mapping  # type: ignore[no-any-return]
