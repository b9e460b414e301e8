"""What a path operation knows of itself, computed once from its path, endpoint and options.

A declared `APIRoute` and its view through an include (`_EffectiveRouteContext`) share it. No request is seen here.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, IntEnum
from itertools import zip_longest
from re import Pattern
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.convertors import (
    CONVERTOR_TYPES,
    Convertor,
    FloatConvertor,
    IntegerConvertor,
    PathConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.responses import Response
from starlette.routing import PARAM_REGEX, BaseRoute, compile_path, get_name

from ferroapi import _core, params
from ferroapi._beyond.declared_errors import (
    ErrorClass,
    check_errors,
    declaring,
    errors_of,
    returned_errors,
    with_errors,
)
from ferroapi._body_limit import validate_max_body_size
from ferroapi._compat import ModelField, lenient_issubclass
from ferroapi._foreign import refuse_foreign_options
from ferroapi._option_defaults import ROUTE_DEFAULTS
from ferroapi._routing.changes import ObservedRoute
from ferroapi._routing.response_shape import resolve_response_shape
from ferroapi._witness import Part
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.dependencies._body import _should_embed_body_fields
from ferroapi.dependencies._body_field import _get_body_field
from ferroapi.dependencies._field import _get_flat_body_params
from ferroapi.dependencies.models import Dependant, _is_async_gen_callable, _is_gen_callable
from ferroapi.dependencies.utils import get_dependant, get_parameterless_sub_dependant, get_typed_return_annotation
from ferroapi.sse import EventSourceResponse
from ferroapi.types import IncEx
from ferroapi.utils import create_model_field, is_body_allowed_for_status_code

_UUID = "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"
_PUBLISHED_CONVERTORS: dict[str, tuple[type[Convertor[Any]], str]] = {
    "str": (StringConvertor, "[^/]+"),
    "path": (PathConvertor, ".*"),
    "int": (IntegerConvertor, "[0-9]+"),
    "float": (FloatConvertor, r"[0-9]+(\.[0-9]+)?"),
    "uuid": (UUIDConvertor, _UUID),
}
"""What Starlette publishes under each name; an application may put something else there."""

KEPT_OPTIONS = (
    "summary",
    "response_description",
    "deprecated",
    "operation_id",
    "response_model_include",
    "response_model_exclude",
    "response_model_by_alias",
    "response_model_exclude_unset",
    "response_model_exclude_defaults",
    "response_model_exclude_none",
    "include_in_schema",
    "response_class",
    "dependency_overrides_provider",
    "callbacks",
    "openapi_extra",
    "generate_unique_id_function",
    "strict_content_type",
    "max_body_size",
)
"""Options that become attributes exactly as they were given."""

OWN_OPTIONS: Mapping[str, Any] = {"cancel_on_disconnect": None, "wait_for_first_item": None, "raises": ()}
"""Options that FastAPI has not, with their defaults: attributes where they are given, since packages copy `vars`."""

COMPILED_ATTRIBUTES = frozenset(
    {
        "response_fields",
        "dependant",
        "_embed_body_fields",
        "body_field",
        "is_sse_stream",
        "is_json_stream",
        "stream_item_type",
        "response_model",
        "response_field",
        "stream_item_field",
    }
)
"""Attributes that need the endpoint's signature and models: dear to compute, set by `compile_state`."""


def _build_dependant_with_parameterless_dependencies(
    *, path: str, call: Callable[..., Any], dependencies: Sequence[params.Depends]
) -> tuple[Dependant, list[ModelField], bool]:
    """Read a callable's parameters and put the dependencies declared around it in front of its own.

    With the graph come the parameters of its body, and whether each of these is a key of it.

    Raises:
        DependencyScopeError, FastAPIError, AssertionError: for a signature that cannot be served.
    Source: FastAPI behaviour, `routing._build_dependant_with_parameterless_dependencies`.
    """
    dependant = get_dependant(path=path, call=call, scope="function")
    # Read from the last one: the error of a graph with two mistakes is that of the later.
    for each in reversed(dependencies):
        dependant.dependencies.insert(0, get_parameterless_sub_dependant(depends=each, path=path))
    body_params = _get_flat_body_params(dependant)
    return dependant, body_params, _should_embed_body_fields(body_params)


class PathTemplate(NamedTuple):
    """A path with its parameters found, of which a regular expression can be made without fail."""

    path: str
    path_format: str
    convertors: dict[str, Convertor[Any]]

    @classmethod
    def of(cls, path: str) -> "PathTemplate | None":
        """Return the template of a path, None where `compile_path` must look at it: hosts, mistakes, own convertors."""
        convertors: dict[str, Convertor[Any]] = {}
        parts: list[str] = []
        end = 0
        for found in PARAM_REGEX.finditer(path):
            name, kind = found.groups("str")
            kind = kind.lstrip(":")
            convertor = CONVERTOR_TYPES.get(kind)
            if convertor is None or name in convertors:
                return None
            if (type(convertor), convertor.regex) != _PUBLISHED_CONVERTORS.get(kind):
                return None
            convertors[name] = convertor
            parts += (path[end : found.start()], f"{{{name}}}")
            end = found.end()
        return cls(path, "".join(parts) + path[end:], convertors) if path.startswith("/") else None

    def regex(self) -> Pattern[str]:
        """Return the expression that matches the paths of this template.

        Source: Starlette behaviour, `routing.compile_path`.
        """
        pieces = PARAM_REGEX.split(self.path)
        # Text, name and kind take turns.
        literals = map(re.escape, pieces[::3])
        groups = [f"(?P<{name}>{self.convertors[name].regex})" for name in pieces[1::3]]
        return re.compile("^" + "".join(map("".join, zip_longest(literals, groups, fillvalue=""))) + "$")


def _assert_body_allowed(status_code: int | str | None) -> None:
    assert is_body_allowed_for_status_code(status_code), f"Status code {status_code} must not have a response body"


def _serialization_field(name: str, model: Any) -> ModelField | None:
    return create_model_field(name=name, type_=model, mode="serialization") if model else None


def _additional_response_fields(responses: Mapping[int | str, Any], unique_id: str) -> dict[int | str, ModelField]:
    fields: dict[int | str, ModelField] = {}
    for status_code, response in responses.items():
        assert isinstance(response, dict), "An additional response must be a dict"
        if model := response.get("model"):
            _assert_body_allowed(status_code)
            name = f"Response_{status_code}_{unique_id}"
            fields[status_code] = create_model_field(name=name, type_=model, mode="serialization")
    return fields


def _as_sent(method: str) -> str:
    """Return a method as the object by which a server names it, if that is interned: it is found at a glance."""
    return intern(method) if type(method) is str else method


def _description(endpoint: Callable[..., Any], description: str | None) -> str:
    """Return the declared description or the docstring, up to a form feed."""
    text = description or endpoint.__doc__
    if not text:
        return ""
    if not description:
        text = inspect.cleandoc(text)
    return text.split("\f")[0].strip()


class _PathRegex:
    """The attribute `path_regex`, compiled when somebody asks; assigned to, it is an attribute like any other."""

    def __get__(self, state: Any, owner: Any = None) -> Any:
        if state is None:
            return self
        template: PathTemplate | None = getattr(state, "_path_template", None)
        if template is None:
            raise AttributeError(f"{type(state).__name__!r} object has no attribute 'path_regex'")
        regex = state._own_attributes()["path_regex"] = template.regex()
        return regex


_ATTRIBUTES = vars(ObservedRoute)["__dict__"]
"""What finds the dictionary of a route, whatever its class has under that name."""


class RouteState(ObservedRoute):
    """The attributes of a path operation. They may be assigned to: OpenAPI and the handlers read them late.

    What is ours alone is in slots: packages copy what `vars` shows.
    """

    __slots__ = ("_path_template",)

    _path_template: PathTemplate
    path: str
    endpoint: Callable[..., Any]
    name: str
    methods: set[str]
    if TYPE_CHECKING:
        path_regex: Pattern[str]
    else:
        path_regex = _PathRegex()
    path_format: str
    param_convertors: dict[str, Convertor[Any]]
    unique_id: str
    status_code: int | None
    tags: list[str | Enum]
    dependencies: list[params.Depends]
    summary: str | None
    description: str
    response_description: str
    responses: dict[int | str, dict[str, Any]]
    deprecated: bool | None
    operation_id: str | None
    include_in_schema: bool
    response_class: type[Response] | DefaultPlaceholder
    response_model: Any
    response_model_include: IncEx | None
    response_model_exclude: IncEx | None
    response_model_by_alias: bool
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    dependency_overrides_provider: Any | None
    callbacks: list[BaseRoute] | None
    openapi_extra: dict[str, Any] | None
    generate_unique_id_function: Callable[[Any], str] | DefaultPlaceholder
    strict_content_type: bool | DefaultPlaceholder
    max_body_size: int | None
    cancel_on_disconnect: bool | None = None
    wait_for_first_item: bool | None = None
    raises: Sequence[ErrorClass] = ()
    stream_item_type: Any | None
    response_field: ModelField | None
    stream_item_field: ModelField | None
    response_fields: dict[int | str, ModelField]
    dependant: Dependant
    _embed_body_fields: bool
    body_field: ModelField | None
    is_sse_stream: bool
    is_json_stream: bool

    def _declare(self, path: str, endpoint: Callable[..., Any], options: Mapping[str, Any]) -> None:
        """Set what is cheap to know and what matching needs.

        Raises:
            ValueError: for a `max_body_size` that is no size.
            FastAPIError: for an object of the real `fastapi`.
            AssertionError, ValueError: for a path that cannot be compiled.
        """
        # What was replaced in a module's dictionary is replaced where it is read from here on.
        _core.is_replaced(0)
        refuse_foreign_options(options)
        validate_max_body_size(options["max_body_size"])
        options = {**OWN_OPTIONS, **options}
        check_errors(options["raises"])
        methods, status_code = options["methods"], options["status_code"]
        self._assign(
            {kept: options[kept] for kept in KEPT_OPTIONS}
            | {own: options[own] for own, default in OWN_OPTIONS.items() if options[own] != default}
            | {
                "path": path,
                "endpoint": endpoint,
                "tags": options["tags"] or [],
                "responses": options["responses"] or {},
                "dependencies": list(options["dependencies"] or []),
                "name": get_name(endpoint) if options["name"] is None else options["name"],
                "methods": {"GET"} if methods is None else {_as_sent(method.upper()) for method in methods},
                "status_code": int(status_code) if isinstance(status_code, IntEnum) else status_code,
                "description": _description(endpoint, options["description"]),
            }
            | self._read_path(path)
        )
        generate = self.generate_unique_id_function
        make_unique_id = generate.value if isinstance(generate, DefaultPlaceholder) else generate
        self.unique_id = self.operation_id or make_unique_id(self)

    def _read_path(self, path: str) -> dict[str, Any]:
        """Return the attributes that a path says.

        Raises:
            AssertionError: for an unknown convertor.
            ValueError: for a repeated parameter.
        """
        template = None if _core.is_replaced(Part.DECLARATION) else PathTemplate.of(path)
        if template is None:
            return dict(zip(("path_regex", "path_format", "param_convertors"), compile_path(path), strict=True))
        # Not by assignment: a subclass may have a `__setattr__` of its own.
        object.__setattr__(self, "_path_template", template)
        return {"path_format": template.path_format, "param_convertors": dict(template.convertors)}

    def unread_template(self) -> PathTemplate | None:
        """Return the template of the path, None once there is a regular expression, which may say something else."""
        return None if "path_regex" in self._own_attributes() else getattr(self, "_path_template", None)

    def __delattr__(self, name: str) -> None:
        if name == "path_regex" and self.unread_template() is not None:
            # Computed, it can be deleted as any other, and is not computed again.
            _ = self.path_regex
        super().__delattr__(name)
        if name == "path_regex" and hasattr(self, "_path_template"):
            del self._path_template

    def _own_attributes(self) -> dict[str, Any]:
        """Return the dictionary in which the attributes are kept, as far as they were asked for."""
        attributes: dict[str, Any] = _ATTRIBUTES.__get__(self)
        return attributes

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """The attributes, with those that are computed when somebody asks: packages copy what `vars` shows."""
        own = self._own_attributes()
        # A copy is empty at first.
        if own:
            self._complete()
        return own

    def _complete(self) -> None:
        """Compute what is computed when somebody asks."""
        if self.unread_template() is not None:
            _ = self.path_regex

    def _assign(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes: those of a class of ours together, those of another one by one, which that may look at."""
        if "_is_assigned_at_once" in vars(type(self)):
            self._own_attributes().update(attributes)
            return
        for name, value in attributes.items():
            setattr(self, name, value)

    def declared_responses(self, dependant: Dependant) -> Mapping[int | str, Any]:
        """Return the additional responses, with those of the errors that the operation and its dependencies declare."""
        returned = getattr(dependant, "returned", ())
        return with_errors(self.responses, (*self.raises, *errors_of(dependant), *returned))

    def _compile(
        self,
        response_model: Any,
        stream_item_type: Any | None = None,
        returned: tuple[ErrorClass, ...] | None = None,
    ) -> None:
        """Read the endpoint: its dependencies, its body and its response.

        Its return annotation is evaluated once, at the declaration: the errors in it are given to what is made of that.

        Raises:
            AssertionError: for a response that must be a dictionary or must not have a body, or no callable endpoint.
            FastAPIError: for a response model that pydantic cannot serialize.
        """
        _core.is_replaced(0)
        assert callable(self.endpoint), "An endpoint must be a callable"
        dependant, body_params, embeds = _build_dependant_with_parameterless_dependencies(
            path=self.path_format, call=self.endpoint, dependencies=self.dependencies
        )
        annotation = None
        if returned is None:
            annotation = get_typed_return_annotation(self.endpoint)
            returned = returned_errors(annotation)
        dependant = declaring(dependant, returned=returned)
        response_fields = _additional_response_fields(self.declared_responses(dependant), self.unique_id)
        body_field = _get_body_field(body_params=body_params, name=self.unique_id, embed_body_fields=embeds)
        is_generator = _is_async_gen_callable(self.endpoint) or _is_gen_callable(self.endpoint)
        response_model, item_type = resolve_response_shape(
            annotation, response_model, self.response_class, is_generator=is_generator
        )
        self._assign(
            {
                "response_fields": response_fields,
                "dependant": dependant,
                "_embed_body_fields": embeds,
                "body_field": body_field,
                "is_sse_stream": is_generator and lenient_issubclass(self.response_class, EventSourceResponse),
                "is_json_stream": is_generator and isinstance(self.response_class, DefaultPlaceholder),
                "response_model": response_model,
                "stream_item_type": stream_item_type or item_type,
            }
        )
        # A subclass may have made properties of them.
        response_model, item_type = self.response_model, self.stream_item_type
        if response_model:
            _assert_body_allowed(self.status_code)
        self._assign(
            {
                "response_field": _serialization_field("Response_" + self.unique_id, response_model),
                "stream_item_field": _serialization_field("StreamItem_" + self.unique_id, item_type),
            }
        )


def empty_state() -> dict[str, Any]:
    """Return the attributes of a view on a route that is no path operation (a mount, a host, a plain route)."""
    return {
        "app": None,
        "frontend_prefix": "",
        "path": "",
        "endpoint": None,
        "name": "",
        "methods": set(),
        "path_regex": None,
        "path_format": "",
        "param_convertors": {},
        "unique_id": "",
        "status_code": None,
        "tags": [],
        "dependencies": [],
        "description": "",
        "responses": {},
        "response_fields": {},
        "dependant": None,
        "_embed_body_fields": False,
        "is_sse_stream": False,
        "is_json_stream": False,
        **dict.fromkeys(("stream_item_type", "response_model", "response_field", "stream_item_field", "body_field")),
        **{name: value for name, value in ROUTE_DEFAULTS.items() if name in KEPT_OPTIONS},
    }
