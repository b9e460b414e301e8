"""A response model's core schema becomes a `_core.ModelSerializer`, if its JSON is known beforehand; asked once.

A schema says how values are validated and written. Whatever in one is not known here leaves the model to pydantic.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from enum import Enum
from functools import partial
from inspect import getattr_static
from typing import Any

from pydantic_core import SchemaSerializer

from ferroapi import _core
from ferroapi._compat import ModelField
from ferroapi._core import ContainerType, JsonField, JsonType, PlainType
from ferroapi._models.silent import is_made_silently, is_watched

_LARGEST = 2048
"""Types within one response model, above which it is left to pydantic."""

_DEEPEST = 64
"""Types within each other, likewise."""

_ANYWHERE = {"type", "metadata", "ref"}

_PLAIN: dict[str, tuple[set[str], set[str]]] = {
    "any": (set(), set()),
    "none": (set(), set()),
    "bool": ({"strict"}, set()),
    "str": (
        {"strict", "coerce_numbers_to_str", "regex_engine"},
        {"pattern", "max_length", "min_length", "strip_whitespace", "to_lower", "to_upper", "ascii_only"},
    ),
    "int": ({"strict"}, {"multiple_of", "le", "ge", "lt", "gt"}),
    "float": ({"strict"}, {"allow_inf_nan", "multiple_of", "le", "ge", "lt", "gt"}),
    "decimal": ({"strict"}, {"allow_inf_nan", "multiple_of", "le", "ge", "lt", "gt", "max_digits", "decimal_places"}),
    "bytes": ({"strict"}, {"max_length", "min_length"}),
    "uuid": ({"strict"}, {"version"}),
    "date": ({"strict"}, {"le", "ge", "lt", "gt", "now_op", "now_utc_offset"}),
    "time": ({"strict", "microseconds_precision"}, {"le", "ge", "lt", "gt", "tz_constraint"}),
    "datetime": (
        {"strict", "microseconds_precision"},
        {"le", "ge", "lt", "gt", "now_op", "now_utc_offset", "tz_constraint"},
    ),
}
"""Types that hold no others: what a schema may say that leaves a value of the type as it is, and what may refuse it."""

_PLAIN_TYPES: dict[str, PlainType] = {each: getattr(PlainType, each.upper()) for each in _PLAIN}

_CONTAINERS: dict[str, tuple[set[str], set[str]]] = {
    "nullable": ({"schema", "strict"}, set()),
    "default": (
        {"schema", "default", "default_factory", "default_factory_takes_data", "validate_default", "strict"},
        {"on_error", "copy_default"},
    ),
    "list": ({"items_schema", "strict", "fail_fast"}, {"min_length", "max_length"}),
    "dict": ({"keys_schema", "values_schema", "strict", "fail_fast"}, {"min_length", "max_length"}),
    "tuple": ({"items_schema", "variadic_item_index", "strict", "fail_fast"}, {"min_length", "max_length"}),
    # Validation makes a new set, whose order may be another.
    "set": (set(), {"items_schema", "strict", "fail_fast", "min_length", "max_length"}),
    "frozenset": (set(), {"items_schema", "strict", "fail_fast", "min_length", "max_length"}),
    "enum": ({"cls", "members", "sub_type", "missing", "strict"}, set()),
    "literal": ({"expected"}, set()),
}

_HOLDING = ("nullable", "list", "set", "frozenset", "tuple", "dict")
_CONTAINER_TYPES: dict[str, ContainerType] = {each: getattr(ContainerType, each.upper()) for each in _HOLDING}

_FUNCTIONS = {"function-before", "function-after", "function-wrap"}
_FUNCTION_KEYS = {"function", "schema", "json_schema_input_schema"}

_MODEL_KEYS = {
    *("cls", "schema", "config", "custom_init", "root_model", "post_init", "revalidate_instances", "strict", "frozen"),
    *("generic_origin", "extra_behavior"),
}
_FIELDS_KEYS = {"fields", "model_name", "computed_fields", "strict", "extra_behavior", "from_attributes"}
_FIELD_KEYS = {
    *("schema", "type", "metadata", "validation_alias", "serialization_alias", "serialization_exclude"),
    *("frozen", "serialization_exclude_if"),
}

_HARMLESS_CONFIG = {
    *("title", "from_attributes", "frozen", "loc_by_alias", "hide_input_in_errors", "validation_error_cause"),
    *("regex_engine", "cache_strings", "validate_by_alias", "validate_by_name", "serialize_by_alias"),
}
"""Settings of a model that neither change a value of the right type nor how it is written."""

_VALIDATING_CONFIG = {
    *("extra_fields_behavior", "strict", "str_max_length", "str_min_length", "str_strip_whitespace", "str_to_lower"),
    *("str_to_upper", "allow_inf_nan", "revalidate_instances", "validate_default", "coerce_numbers_to_str"),
}
"""Settings of a model that may change or refuse a value, but not how it is written."""


class _Unknown(Exception):
    """A schema says something of which is not known what pydantic makes of it."""


def model_serializer(field: ModelField, serialization: Mapping[str, Any]) -> "_core.ModelSerializer | None":
    """Compile the response model of a route, written with these keywords; None if only pydantic can write it."""
    adapter = field._type_adapter
    if field.config or is_watched(adapter) or type(adapter.serializer) is not SchemaSerializer:
        return None
    # What is no `bool`, pydantic refuses.
    if not serialization.keys() <= {"by_alias", "exclude_none"} or set(map(type, serialization.values())) - {bool}:
        return None
    try:
        root = _Walk(by_alias=serialization.get("by_alias", False)).type_of(adapter.core_schema)
    except _Unknown:
        return None
    return _core.plain_model(root, "exclude_none" in serialization)


_Step = Generator[tuple[Any, bool], JsonType, JsonType]
"""Makes a type: yields the schema of each type inside, and whether a value of it may be kept; is sent that type."""


class _Walk:
    """One pass over a schema, inside of which types that occur again are known by their references.

    Its steps stand in a list: types within each other take no deeper stack than one type, as the request that compiles
    the route may have little of it left.
    """

    def __init__(self, *, by_alias: bool) -> None:
        self.by_alias = by_alias
        self.definitions: dict[str, Mapping[str, Any]] = {}

    def type_of(self, schema: Any) -> JsonType:
        """Return the type that a schema describes.

        Raises:
            _Unknown: pydantic has to write it.
        """
        steps, size = [self._type(schema, True)], 1
        resume: Callable[[], Any] = partial(next, steps[0])
        while True:
            try:
                inner, keeps = resume()
            except StopIteration as done:
                steps.pop()
                if not steps:
                    root: JsonType = done.value
                    return root
                resume = partial(steps[-1].send, done.value)
            except _Unknown:
                steps.pop()
                if not steps:
                    raise
                resume = partial(steps[-1].throw, _Unknown())
            else:
                size += 1
                # A type that holds itself is refused here as well.
                if size > _LARGEST or len(steps) == _DEEPEST:
                    resume = partial(steps[-1].throw, _Unknown())
                else:
                    steps.append(self._type(inner, keeps))
                    resume = partial(next, steps[-1])

    def _type(self, schema: Any, keeps: bool) -> _Step:
        kind = _said(schema, "type", str)
        if kind == "definitions":
            self.definitions |= {_said(each, "ref", str): each for each in _said(schema, "definitions", list)}
            return (yield schema.get("schema"), keeps)
        if kind == "definition-ref" and schema.keys() <= {*_ANYWHERE, "schema_ref"}:
            return (yield self.definitions.get(_said(schema, "schema_ref", str)), keeps)
        if kind in _FUNCTIONS and schema.keys() <= _ANYWHERE | _FUNCTION_KEYS:
            # The function has to see the value first.
            return (yield schema.get("schema"), False)
        if kind == "model":
            return (yield from self._model(schema, keeps))
        if kind in _PLAIN:
            return JsonType.plain(_PLAIN_TYPES[kind], identity=_identity(schema, *_PLAIN[kind]) and keeps)
        if kind in _CONTAINERS:
            return (yield from self._container(kind, schema, _identity(schema, *_CONTAINERS[kind]) and keeps))
        raise _Unknown

    def _container(self, kind: str, schema: Mapping[str, Any], identity: bool) -> _Step:
        if kind == "default":
            return (yield schema.get("schema"), identity)
        if kind == "enum":
            members = _members(_said(schema, "cls", type), _said(schema, "members", list))
            return JsonType.enumeration(list(members), identity=identity)
        if kind == "literal":
            expected = _said(schema, "expected", list)
            if not all(type(each) in (str, int) and _is_writable(each) for each in expected):
                raise _Unknown
            return JsonType.literal(expected, identity=identity)
        container = _CONTAINER_TYPES[kind]
        if kind == "nullable":
            inside = [schema.get("schema")]
        elif kind == "dict":
            inside = [schema.get(each, {"type": "any"}) for each in ("keys_schema", "values_schema")]
        elif kind == "tuple":
            inside = _said(schema, "items_schema", list)
            if "variadic_item_index" in schema:
                if len(inside) != 1:
                    raise _Unknown
                container = ContainerType.TUPLES
        else:
            inside = [schema.get("items_schema", {"type": "any"})]
        items = []
        for each in inside:
            items.append((yield each, True))
        return JsonType.container(container, items, identity=identity and all(each.identity for each in items))

    def _model(self, schema: Mapping[str, Any], keeps: bool) -> _Step:
        config: Mapping[str, Any] = _said({"config": {}, **schema}, "config", dict)
        model, inner = _said(schema, "cls", type), _said(schema, "schema", dict)
        if not schema.keys() <= _ANYWHERE | _MODEL_KEYS or not config.keys() <= _HARMLESS_CONFIG | _VALIDATING_CONFIG:
            raise _Unknown
        if schema.get("root_model") or "allow" in (schema.get("extra_behavior"), config.get("extra_fields_behavior")):
            raise _Unknown
        is_strict = bool(schema.get("strict") or config.get("strict"))
        revalidates = [each.get("revalidate_instances", "never") != "never" for each in (schema, config)]
        is_made_plainly = (
            inner.get("type") == "model-fields"
            and not inner.keys() & {"strict", "from_attributes", "extra_behavior"}
            and config.keys() <= _HARMLESS_CONFIG
            and config.get("validate_by_alias", True)
            and not any(schema.get(each) for each in ("post_init", "strict", "extra_behavior"))
            and is_made_silently(model)
        )
        while _said(inner, "type", str) in _FUNCTIONS and inner.keys() <= _ANYWHERE | _FUNCTION_KEYS:
            inner = _said(inner, "schema", dict)
        if inner.get("type") != "model-fields" or not inner.keys() <= _ANYWHERE | _FIELDS_KEYS:
            raise _Unknown
        if inner.get("computed_fields") or inner.get("extra_behavior") == "allow":
            raise _Unknown
        by_name = bool(config.get("validate_by_name"))
        fields = []
        for name, each in _said(inner, "fields", dict).items():
            fields.append((yield from self._field(name, each, by_name=by_name)))
        keeps_instances = not is_strict and not any(revalidates)
        is_made_plainly = is_made_plainly and all(sources for _, sources in fields)
        # Instances of the generic class that the model comes from are read as dicts of their names.
        is_open = is_made_plainly and "generic_origin" not in schema
        # An `__init__` of its own is called for a dict, and for nothing else.
        takes_dicts = is_made_plainly and not schema.get("custom_init")
        return JsonType.model(
            model,
            [field for field, _ in fields],
            keeps_instances=keeps_instances,
            is_open=is_open,
            takes_dicts=takes_dicts,
            identity=keeps and (keeps_instances or is_open or takes_dicts),
        )

    def _field(
        self, name: str, schema: Any, *, by_name: bool
    ) -> Generator[tuple[Any, bool], JsonType, tuple[JsonField, list[Any]]]:
        inner = _said(schema, "schema", dict)
        if not schema.keys() <= _FIELD_KEYS or schema.get("serialization_exclude_if") is not None:
            raise _Unknown
        has_default = inner.get("type") == "default" and "default" in inner and not inner.get("validate_default")
        is_excluded = bool(schema.get("serialization_exclude"))
        alias = schema.get("validation_alias", name)
        names = [alias, name] if by_name and alias != name else [alias]
        try:
            kind = yield inner, True
        except _Unknown:
            # A field that is never written may be of any type.
            if not is_excluded:
                raise
            kind = JsonType.plain(PlainType.ANY, identity=False)
        key = schema.get("serialization_alias", name) if self.by_alias else name
        if not (isinstance(name, str) and isinstance(key, str)):
            raise _Unknown
        # A path of keys, or a choice of them, is left to pydantic.
        sources = names if isinstance(alias, str) else []
        default = (inner["default"],) if has_default else None
        field = JsonField(name=name, sources=sources, key=key, kind=kind, default=default, is_excluded=is_excluded)
        return field, sources


def _said(schema: Any, key: str, kind: type[Any]) -> Any:
    """Return what a schema says under a key.

    Raises:
        _Unknown: it is no schema, or does not say that: a model's may have been put together by anybody.
    """
    value = schema.get(key) if isinstance(schema, Mapping) else None
    if not isinstance(value, kind):
        raise _Unknown
    return value


def _identity(schema: Mapping[str, Any], harmless: set[str], validating: set[str]) -> bool:
    """Tell whether a value of exactly the type is always valid, and stays as it is.

    Raises:
        _Unknown: the schema says something else.
    """
    said = schema.keys() - _ANYWHERE
    if not said <= harmless | validating:
        raise _Unknown
    return said <= harmless


def _members(model: type[Enum], members: list[Any]) -> Iterator[tuple[Any, Any]]:
    if getattr_static(model, "value", None) is not Enum.__dict__["value"]:
        raise _Unknown
    for member in members:
        if not isinstance(member, Enum):
            raise _Unknown
        value = member.value
        if type(value) not in (str, int, bool, type(None)) or not _is_writable(value):
            raise _Unknown
        yield member, value


def _is_writable(value: Any) -> bool:
    """Whether a text has no lone surrogate, and a number is of a size that `_core` writes."""
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)
    return not isinstance(value, int) or -(2**63) <= value < 2**63
