"""What a callable's parameters mean: each annotation and default becomes a field, a dependency or a special object.

Runs at registration (and for overrides); makes the `Dependant` tree that is solved. It sees no request.
"""

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.datastructures import UploadFile as StarletteUploadFile
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from typing_inspection.typing_objects import is_typealiastype

from ferroapi import _core, params
from ferroapi._beyond.declared_errors import declaring
from ferroapi._beyond.unresolved import warn_of_unresolved
from ferroapi._compat import (
    ModelField,
    RequiredParam,
    Undefined,
    copy_field_info,
    field_annotation_is_scalar,
    field_annotation_is_scalar_sequence,
    is_scalar_field,
    is_uploadfile_or_nonable_uploadfile_annotation,
    is_uploadfile_sequence_annotation,
    lenient_issubclass,
)
from ferroapi._foreign import refuse_foreign
from ferroapi._witness import Part
from ferroapi.concurrency import _DependencyConcurrency
from ferroapi.dependencies._body import _add_form_union_validators
from ferroapi.dependencies._field import _get_form_union_models, _get_model_type
from ferroapi.dependencies._multipart import ensure_multipart_is_installed
from ferroapi.dependencies._signature import read_parameters
from ferroapi.dependencies.models import (
    Dependant,
    _get_computed_scope,
    _is_async_gen_callable,
    _is_gen_callable,
)
from ferroapi.exceptions import DependencyScopeError
from ferroapi.security.oauth2 import SecurityScopes
from ferroapi.utils import create_model_field, get_path_param_names

_SCALAR_CLASSES = frozenset({str, int, float, bool, bytes, date, datetime, time, timedelta, Decimal, UUID})
_MODEL_CLASS = type(BaseModel)
_MARKERS = (params.Depends, FieldInfo)


@dataclass
class ParamDetails:
    """What one parameter turned out to be: a dependency, a field, or (neither) an object of a special type."""

    type_annotation: Any
    depends: params.Depends | None
    field: ModelField | None


def get_dependant(
    *,
    path: str,
    call: Callable[..., Any],
    name: str | None = None,
    own_oauth_scopes: list[str] | None = None,
    parent_oauth_scopes: list[str] | None = None,
    use_cache: bool = True,
    scope: Literal["function", "request", "lifespan"] | None = None,
    concurrency: _DependencyConcurrency | None = None,
) -> Dependant:
    """Return the dependency graph of a callable that is registered under a path template.

    Raises: DependencyScopeError when a request-scoped generator needs a function-scoped dependency; AssertionError
    or FastAPIError for a parameter that cannot be one.
    Source: FastAPI behaviour, `dependencies.utils.get_dependant`.
    """
    refuse_foreign(call)
    if scope == "lifespan":
        from ferroapi._beyond.lifespan_scope import lifespan_dependant

        return lifespan_dependant(call, path, name, use_cache, concurrency)
    dependant = Dependant(
        call=call,
        name=name,
        path=path,
        use_cache=use_cache,
        scope=scope,
        concurrency=concurrency,
        own_oauth_scopes=own_oauth_scopes,
        parent_oauth_scopes=parent_oauth_scopes,
    )
    path_param_names = get_path_param_names(path)
    is_replaced = _core.is_replaced(Part.DECLARATION)
    for param_name, annotation, value in read_parameters(call):
        refuse_foreign(value)
        simple = None if is_replaced else _simple_field(param_name, annotation, value, param_name in path_param_names)
        if simple is not None:
            _add_field(simple, dependant)
            continue
        details = analyze_param(
            param_name=param_name, annotation=annotation, value=value, path_param_names=path_param_names
        )
        if details.depends is not None:
            dependant.dependencies.append(_sub_dependant(dependant, details.depends, param_name, path))
        elif add_non_field_param_to_dependency(
            param_name=param_name, type_annotation=details.type_annotation, dependant=dependant
        ):
            assert details.field is None, f"Cannot specify multiple FastAPI annotations for {param_name!r}"
        else:
            assert details.field is not None
            _add_field(details.field, dependant)
    return dependant


def get_parameterless_sub_dependant(*, depends: params.Depends, path: str) -> Dependant:
    """Return the graph of a dependency that is declared on a route or router and whose value nobody takes.

    Raises: AssertionError when the dependency is not callable.
    """
    refuse_foreign(depends)
    assert callable(depends.dependency), "A parameter-less dependency must have a callable dependency"
    dependant = get_dependant(
        path=path,
        call=depends.dependency,
        scope=depends.scope,
        concurrency=depends._concurrency,
        own_oauth_scopes=_declared_scopes(depends),
    )
    return _with_errors(dependant, depends)


def analyze_param(*, param_name: str, annotation: Any, value: Any, path_param_names: set[str]) -> ParamDetails:
    """Return what one parameter is, from its annotation and its default value (`inspect.Parameter.empty` for none).

    Raises: AssertionError for contradictory declarations and unsupported types; RuntimeError for a form without
    python-multipart; FastAPIError for a type that pydantic cannot validate.
    Source: FastAPI behaviour, `dependencies.utils.analyze_param`.
    """
    is_path_param = param_name in path_param_names
    if is_typealiastype(annotation):
        annotation = annotation.__value__
    declared = Any if annotation is inspect.Parameter.empty else annotation
    type_annotation = get_args(declared)[0] if get_origin(declared) is Annotated else declared

    marker = _annotated_marker(declared)
    depends = marker if isinstance(marker, params.Depends) else None
    field_info: FieldInfo | None = None
    if isinstance(marker, FieldInfo):
        field_info = _field_info_from_marker(marker, declared, value, param_name, is_path_param)

    if isinstance(value, params.Depends):
        assert depends is None, f"Cannot specify `Depends` in `Annotated` and default value together for {param_name!r}"
        assert field_info is None, (
            "Cannot specify a FastAPI annotation in `Annotated` and `Depends` as a default value together for "
            f"{param_name!r}"
        )
        depends = value
    elif isinstance(value, FieldInfo):
        assert field_info is None, (
            f"Cannot specify FastAPI annotations in `Annotated` and default value together for {param_name!r}"
        )
        field_info = value
        field_info.annotation = type_annotation

    if depends is not None:
        if depends.dependency is None:
            depends = params._declare_errors(
                replace(depends, dependency=type_annotation), params._declared_errors(depends)
            )
    elif lenient_issubclass(type_annotation, tuple(special for special, _ in _special_types())):
        assert field_info is None, f"Cannot specify FastAPI annotation for type {type_annotation!r}"
    elif field_info is None:
        if not lenient_issubclass(type_annotation, (BaseModel, StarletteUploadFile)):
            refuse_foreign(type_annotation)
        field_info = _inferred_field_info(declared, type_annotation, value, is_path_param)

    field = None
    if field_info is not None:
        field = _make_field(field_info, declared, param_name, path_param_names)
    return ParamDetails(type_annotation=type_annotation, depends=depends, field=field)


def _simple_field(name: str, annotation: Any, value: Any, is_path_param: bool) -> ModelField | None:
    """Return what `analyze_param` makes of a plain class with a plain default, by a shorter way; None for the rest."""
    kind: type[FieldInfo]
    if isinstance(value, _MARKERS) or value is Ellipsis:
        return None
    if type(annotation) is type and annotation in _SCALAR_CLASSES:
        kind = params.Path if is_path_param else params.Query
    elif type(annotation) is _MODEL_CLASS and not is_path_param:
        kind = params.Body
    else:
        return None
    info = _maker(kind)()
    info.annotation = info._attributes_set["annotation"] = annotation
    if kind is not params.Path:
        if value is inspect.Parameter.empty:
            info.default = Undefined
            info._attributes_set.pop("default", None)
        else:
            info.default = info._attributes_set["default"] = value
    info.alias = name
    return create_model_field(name=name, type_=annotation, field_info=info)


@lru_cache(maxsize=3)
def _maker(kind: Any) -> Callable[[], FieldInfo]:
    """Return a function that makes field infos of a kind as its constructor does, and shares only constants among them.

    It copies the attributes of one, and is written out, as the constructor of a dataclass is: a loop over the names
    would take six times as long, and a look into `__dict__` would make a dictionary for each.
    """
    prototype = kind(annotation=None) if kind is params.Path else kind(annotation=None, default=None)
    # Which slots there are depends on pydantic's version.
    names = [*(name for name in FieldInfo.__slots__ if hasattr(prototype, name)), *vars(prototype)]
    copied = (f"    info.{name} = prototype.{name}" for name in names)
    edited = (f"    info.{name} = prototype.{name}.copy()" for name in ("metadata", "_attributes_set"))
    lines = ("def make():", "    info = new(kind)", *copied, *edited, "    return info")
    namespace: dict[str, Any] = {"new": object.__new__, "kind": kind, "prototype": prototype}
    exec("\n".join(lines), namespace)
    make: Callable[[], FieldInfo] = namespace["make"]
    return make


def add_non_field_param_to_dependency(*, param_name: str, type_annotation: Any, dependant: Dependant) -> bool | None:
    """Note the parameter's name on the node if its type is one that receives an object of the request itself."""
    for special_type, attribute in _special_types():
        if lenient_issubclass(type_annotation, special_type):
            setattr(dependant, attribute, param_name)
            return True
    return None


def _special_types() -> tuple[tuple[type[Any], str], ...]:
    """Return the types whose parameters receive an object of the request itself, and where `Dependant` has their names.

    They are what they are called in this module now. `Request` and `WebSocket` stand before the `HTTPConnection` that
    both inherit from.
    """
    return (
        (Request, "request_param_name"),
        (WebSocket, "websocket_param_name"),
        (HTTPConnection, "http_connection_param_name"),
        (Response, "response_param_name"),
        (StarletteBackgroundTasks, "background_tasks_param_name"),
        (SecurityScopes, "security_scopes_param_name"),
    )


def _add_field(field: ModelField, dependant: Dependant) -> None:
    """Add a field to the node's list for the place its value comes from."""
    if isinstance(field.field_info, params.Body):
        dependant.body_params.append(field)
    else:
        add_param_to_fields(field=field, dependant=dependant)


def add_param_to_fields(*, field: ModelField, dependant: Dependant) -> None:
    """Add a field that is not of the body to the node's list for the place its value comes from.

    Raises: AssertionError for a parameter from an unknown place.
    """
    source = getattr(field.field_info, "in_", None)
    if source == params.ParamTypes.path:
        dependant.path_params.append(field)
    elif source == params.ParamTypes.query:
        dependant.query_params.append(field)
    elif source == params.ParamTypes.header:
        dependant.header_params.append(field)
    else:
        is_cookie = source == params.ParamTypes.cookie
        assert is_cookie, f"non-body parameters must be in path, query, header or cookie: {field.name}"
        dependant.cookie_params.append(field)


def _sub_dependant(parent: Dependant, depends: params.Depends, param_name: str, path: str) -> Dependant:
    """Return the graph of a dependency that one of the parent's parameters declares."""
    assert depends.dependency
    if depends.scope == "function" and _outlives_the_endpoint(parent):
        call_name = getattr(parent.call, "__name__", "<unnamed_callable>")
        raise DependencyScopeError(
            f'The dependency "{call_name}" has a scope of "request", it cannot depend on dependencies with scope '
            '"function".'
        )
    dependant = get_dependant(
        path=path,
        call=depends.dependency,
        name=param_name,
        own_oauth_scopes=_declared_scopes(depends),
        parent_oauth_scopes=(parent.parent_oauth_scopes or []) + (parent.own_oauth_scopes or []),
        use_cache=depends.use_cache,
        scope=depends.scope,
        concurrency=depends._concurrency,
    )
    return _with_errors(dependant, depends)


def _outlives_the_endpoint(dependant: Dependant) -> bool:
    is_generator = _is_gen_callable(dependant.call) or _is_async_gen_callable(dependant.call)
    return is_generator and _get_computed_scope(dependant=dependant) == "request"


def _with_errors(dependant: Dependant, depends: params.Depends) -> Dependant:
    errors = params._declared_errors(depends)
    return declaring(dependant, raises=errors) if errors else dependant


def _declared_scopes(depends: params.Depends) -> list[str]:
    return list(depends.scopes or ()) if isinstance(depends, params.Security) else []


def _annotated_marker(annotation: Any) -> params.Param | params.Body | params.Depends | None:
    """Return the last of FastAPI's own markers in an `Annotated`; plain pydantic fields are only metadata."""
    if get_origin(annotation) is not Annotated:
        return None
    metadata = get_args(annotation)[1:]
    refuse_foreign(*metadata)
    markers = [item for item in metadata if isinstance(item, params.Param | params.Body | params.Depends)]
    return markers[-1] if markers else None


def _field_info_from_marker(
    marker: FieldInfo, annotation: Any, value: Any, param_name: str, is_path_param: bool
) -> FieldInfo:
    """Return a copy of the marker with the rest of the annotation merged in and the parameter's default.

    It is a copy because one `Annotated` may be shared by parameters with different defaults.
    """
    info = copy_field_info(field_info=marker, annotation=annotation)
    assert info.default == Undefined or info.default == RequiredParam, (
        f"`{type(info).__name__}` default value cannot be set in `Annotated` for {param_name!r}. Set the default "
        "value with `=` instead."
    )
    if value is inspect.Parameter.empty:
        info.default = RequiredParam
    else:
        assert not is_path_param, "Path parameters cannot have default values"
        info.default = value
    return info


def _inferred_field_info(annotation: Any, type_annotation: Any, value: Any, is_path_param: bool) -> FieldInfo:
    """Return the marker a parameter without one stands for, judged by its name and type."""
    default = RequiredParam if value is inspect.Parameter.empty else value
    info: FieldInfo
    if is_path_param:
        info = params.Path(annotation=annotation)
    elif _is_file_annotation(type_annotation):
        info = params.File(annotation=annotation, default=default)
    elif field_annotation_is_scalar(annotation=type_annotation):
        warn_of_unresolved(annotation)
        info = params.Query(annotation=annotation, default=default)
    else:
        info = params.Body(annotation=annotation, default=default)
    if get_origin(annotation) is not Annotated:
        return info
    # Constraints of a plain pydantic `Field` apply, its default does not.
    inferred_default = info.default
    info = copy_field_info(field_info=info, annotation=annotation)
    info.default = inferred_default
    if is_path_param:
        info.default_factory = None
    return info


def _is_file_annotation(annotation: Any) -> bool:
    return is_uploadfile_or_nonable_uploadfile_annotation(annotation) or is_uploadfile_sequence_annotation(annotation)


def _make_field(info: FieldInfo, annotation: Any, param_name: str, path_param_names: set[str]) -> ModelField:
    """Settle where a parameter comes from and under which alias, and build its validator."""
    is_path_param = param_name in path_param_names
    if is_path_param:
        assert isinstance(info, params.Path), f"Cannot use `{type(info).__name__}` for path param {param_name!r}"
    elif isinstance(info, params.Param) and getattr(info, "in_", None) is None:
        info.in_ = params.ParamTypes.query
    if isinstance(info, params.Form):
        ensure_multipart_is_installed()
        if _get_form_union_models(info.annotation):
            info.annotation = _add_form_union_validators(info.annotation)
    info = _with_path_choice(info, path_param_names)
    if not info.alias and getattr(info, "convert_underscores", None):
        info.alias = param_name.replace("_", "-")
    else:
        info.alias = info.alias or param_name
    field = create_model_field(
        name=param_name, type_=annotation, default=info.default, alias=info.alias, field_info=info
    )
    if is_path_param:
        assert is_scalar_field(field=field), "Path params must be of one of the supported types"
    elif isinstance(info, params.Query):
        assert _is_query_field(field), f"Query parameter {param_name!r} must be one of the supported types"
    return field


def _is_query_field(field: ModelField) -> bool:
    annotation = field.field_info.annotation
    return (
        is_scalar_field(field)
        or field_annotation_is_scalar_sequence(annotation)
        or _get_model_type(annotation) is not None
    )


def _with_path_choice(info: FieldInfo, path_param_names: set[str]) -> FieldInfo:
    """Replace the alias choices of a path parameter by the one that the path template has, if it has one."""
    aliases = info.validation_alias
    if not isinstance(info, params.Path) or not isinstance(aliases, AliasChoices):
        return info
    choices = [choice for choice in aliases.choices if isinstance(choice, str)]
    present = [choice for choice in choices if choice in path_param_names]
    if not present or len(choices) < len(aliases.choices):
        return info
    info = copy(info)
    info.validation_alias = present[0]
    return info
