"""What a field means for a request (names, shape, models), derived once and kept with the field.

Read by `_values`, `_body`, `_body_field`, `_analyze` and the OpenAPI document. It touches no request.
"""

from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter, is_
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, Json

from ferroapi import _core, params
from ferroapi._compat import (
    ModelField,
    field_annotation_is_sequence,
    get_cached_model_fields,
    is_bytes_or_nonable_bytes_annotation,
    is_bytes_sequence_annotation,
    lenient_issubclass,
)
from ferroapi._witness import Part
from ferroapi.dependencies.models import Dependant, _get_cache_key, _UsesScopesCache, nodes_of
from ferroapi.types import DependencyCacheKey, UnionType

# A field may be edited in place; what was derived holds only while these are the same objects.
_sources = attrgetter(
    "field_info",
    "name",
    "config",
    "field_info.alias",
    "field_info.validation_alias",
    "field_info.annotation",
)


def _read_sources(field: ModelField) -> tuple[Any, ...]:
    info = field.field_info
    choices = info.validation_alias.choices if isinstance(info.validation_alias, AliasChoices) else ()
    # What only some kinds of parameters have.
    declared = (getattr(info, name, None) for name in ("in_", "embed", "convert_underscores"))
    return *_sources(field), *declared, *info.metadata, *choices


class Alias(NamedTuple):
    """One name of a field: what validation calls it, and what a request calls it."""

    validation: str
    request: str


class ModelNames(NamedTuple):
    """How the fields of a parameter model are looked up in one kind of mapping."""

    fields: tuple[tuple[ModelField, tuple[Alias, ...]], ...]
    """Each field with its names in order of preference."""
    requested: frozenset[str]
    """Every name a request may use."""
    hidden: frozenset[str]
    """Header names that are never read as extras: the Python spelling of a field that has a wire spelling."""


class RequestField:
    """The facts about one field that every request needs, each derived whenever it is asked for."""

    def __init__(self, field: ModelField) -> None:
        self.field = field
        self.info = field.field_info

    @property
    def location(self) -> str:
        """The part of the request a parameter comes from, as error locations name it."""
        assert isinstance(self.info, params.Param), "Params must be subclasses of Param"
        return self.info.in_.value

    @property
    def aliases(self) -> tuple[Alias, ...]:
        """The names to try, in order of preference."""
        return tuple(Alias(*names) for names in _get_param_aliases(self.field))

    @property
    def is_sequence(self) -> bool:
        """Whether the annotation is, or has among its choices, a sequence."""
        return field_annotation_is_sequence(self.info.annotation)

    @property
    def is_repeated(self) -> bool:
        """Whether the value is all the occurrences of its name."""
        return not _is_json_field(self.field) and self.is_sequence

    @property
    def is_file(self) -> bool:
        """Whether the value is an uploaded file, or several."""
        return isinstance(self.info, params.File)

    @property
    def is_bytes(self) -> bool:
        """Whether an uploaded file is to be replaced by its content."""
        return is_bytes_or_nonable_bytes_annotation(self.info.annotation)

    @property
    def is_bytes_sequence(self) -> bool:
        """Whether each of several uploaded files is to be replaced by its content."""
        return is_bytes_sequence_annotation(self.info.annotation)

    @property
    def parameter_model(self) -> type[BaseModel] | None:
        """The model whose fields are read from the query, headers or cookies one by one."""
        return _get_param_model(self.field)

    @property
    def form_models(self) -> list[type[BaseModel]]:
        """The models whose fields are read from the form one by one: none, one, or the members of a union."""
        return _get_form_models(self.field)

    @property
    def is_nullable(self) -> bool:
        """Whether None is one of the annotation's choices."""
        return type(None) in get_args(self.info.annotation)

    def model_names(self, model: type[BaseModel], *, is_headers: bool) -> ModelNames:
        """Return the names of the parameter model's fields among headers, or in a query string or among cookies."""
        # The field of a model decides for itself when it is a `Header()`; else the parameter decides.
        default = getattr(self.info, "convert_underscores", True)
        fields = []
        for field in get_cached_model_fields(model):
            converts = is_headers and getattr(field.field_info, "convert_underscores", default)
            pairs = _get_param_aliases(field, convert_underscores=converts)
            fields.append((field, tuple(Alias(*names) for names in pairs)))
        names = [name for _, aliases in fields for name in aliases]
        if not is_headers:
            return ModelNames(tuple(fields), frozenset(name.request for name in names), frozenset())
        # Among headers case does not count.
        return ModelNames(
            tuple(fields),
            frozenset(name.request.lower() for name in names),
            frozenset(name.validation.lower() for name in names if name.validation != name.request),
        )


class _KeptField(RequestField):
    """The same facts, each derived on its first use."""

    def __init__(self, field: ModelField) -> None:
        super().__init__(field)
        self.sources = _read_sources(field)
        self._names: dict[tuple[type[BaseModel], bool], ModelNames] = {}

    def is_current(self, field: ModelField) -> bool:
        """Tell whether the field still is what these facts were derived from."""
        sources = _read_sources(field)
        return len(sources) == len(self.sources) and all(map(is_, self.sources, sources))

    def model_names(self, model: type[BaseModel], *, is_headers: bool) -> ModelNames:
        """Return the names that were derived for this model."""
        names = self._names.get((model, is_headers))
        if names is None:
            names = self._names[model, is_headers] = super().model_names(model, is_headers=is_headers)
        return names


def _keep(fact: str, derive: Any) -> None:
    kept = cached_property(derive)
    kept.__set_name__(_KeptField, fact)
    setattr(_KeptField, fact, kept)


for _fact, _property in vars(RequestField).items():
    if isinstance(_property, property):
        _keep(_fact, _property.fget)


def request_field(field: ModelField) -> RequestField:
    """Return the facts about a field, derived again only if the field was edited, or what derives them is replaced."""
    if _core.is_replaced(Part.FIELD):
        return RequestField(field)
    facts: _KeptField | None = getattr(field, "_facts", None)
    if facts is None or not facts.is_current(field):
        facts = _KeptField(field)
        object.__setattr__(field, "_facts", facts)
    return facts


def get_validation_alias(field: ModelField) -> str:
    """Return the one name validation knows a field by, for error locations and documents."""
    return getattr(field, "validation_alias", None) or field.alias


def _get_param_aliases(field: ModelField, *, convert_underscores: bool = False) -> list[tuple[str, str]]:
    """Return the (validation name, request name) pairs of a field in order of preference.

    Source: FastAPI behaviour, `dependencies.utils._get_param_aliases`.
    """
    alias, info, config = get_validation_alias(field), field.field_info, field.config or {}
    hyphenated_name = field.name.replace("_", "-") if convert_underscores else field.name
    first = (alias, hyphenated_name if alias == field.name else alias)
    declared = info.validation_alias
    if isinstance(info, params.Path) or isinstance(declared, AliasPath):
        return [first]
    aliases = [first]
    if isinstance(declared, AliasChoices):
        choices = [choice for choice in declared.choices if isinstance(choice, str)]
        if len(choices) < len(declared.choices):
            # A path into a nested value has no flat name in a request.
            return [first]
        aliases = [(choice, choice) for choice in choices]
    by_name = (field.name, hyphenated_name)
    if config.get("validate_by_alias") is False:
        return [by_name]
    accepts_name = config.get("validate_by_name", config.get("populate_by_name", False))
    if accepts_name and all(field.name != validation for validation, _ in aliases):
        aliases.append(by_name)
    return aliases


def _is_json_field(field: ModelField) -> bool:
    """Tell whether the value is a JSON text (pydantic's `Json`), which is one value whatever it holds."""
    return any(type(item) is Json for item in field.field_info.metadata)


def _get_param_model(field: ModelField) -> type[BaseModel] | None:
    """Return the model whose fields a parameter stands for, None for a single value."""
    annotation: Any = field.field_info.annotation
    if isinstance(field.field_info, params.Query | params.Header | params.Cookie):
        annotation = _get_model_type(annotation)
    return annotation if lenient_issubclass(annotation, BaseModel) and not _is_json_field(field) else None


def _get_flat_fields_from_params(fields: Sequence[ModelField]) -> list[ModelField]:
    """Return the parameters with each parameter model replaced by its fields."""
    flat: list[ModelField] = []
    for field in fields:
        model = _get_param_model(field)
        flat.extend([field] if model is None else get_cached_model_fields(model))
    return flat


def _get_form_models(field: ModelField) -> list[type[BaseModel]]:
    """Return the models whose fields are read from a form one by one."""
    info = field.field_info
    if not isinstance(info, params.Form) or info.embed or _is_json_field(field):
        return []
    model = _get_model_type(info.annotation)
    return _get_form_union_models(info.annotation) if model is None else [model]


def _get_model_type(annotation: Any) -> type[BaseModel] | None:
    """Return the model of `Model` or `Model | None`, None for any other annotation."""
    if get_origin(annotation) in (Union, UnionType):
        choices = get_args(annotation)
        if len(choices) == 2 and type(None) in choices:
            annotation = choices[0] if choices[1] is type(None) else choices[1]
    return annotation if lenient_issubclass(annotation, BaseModel) else None


def _get_form_union_models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models of a union of two models or more (None aside), an empty list for any other annotation."""
    if get_origin(annotation) not in (Union, UnionType):
        return []
    choices = [choice for choice in get_args(annotation) if choice is not type(None)]
    models = [get_args(choice)[0] if get_origin(choice) is Annotated else choice for choice in choices]
    return models if len(models) > 1 and all(lenient_issubclass(model, BaseModel) for model in models) else []


def get_flat_params(dependant: Dependant) -> list[ModelField]:
    """Return the parameters of a graph (path, query, header, cookie), with those of repeated nodes once.

    Source: FastAPI behaviour, `dependencies.utils.get_flat_params`.
    """
    uses_scopes_cache: _UsesScopesCache = {}
    # Not a set: a callable may be unhashable.
    seen: list[DependencyCacheKey] = []
    nodes: list[Dependant] = []
    pending = [dependant]
    while pending:
        node = pending.pop()
        key = _get_cache_key(dependant=node, uses_scopes_cache=uses_scopes_cache)
        if key not in seen:
            seen.append(key)
            nodes.append(node)
            pending.extend(reversed(node.dependencies))
    by_source = (
        [field for node in nodes for field in node.path_params],
        [field for node in nodes for field in node.query_params],
        [field for node in nodes for field in node.header_params],
        [field for node in nodes for field in node.cookie_params],
    )
    return [field for fields in by_source for field in _get_flat_fields_from_params(fields)]


def _get_flat_body_params(dependant: Dependant) -> list[ModelField]:
    """Return the body fields of a graph in the order in which the nodes are declared, repeated nodes included."""
    return [field for node in nodes_of(dependant) for field in node.body_params]
