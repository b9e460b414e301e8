"""What an operation reads from path, query, headers and cookies, as OpenAPI parameters.

The dependency tree of a route is flattened once, parameters and security schemes alike: `_get_openapi_dependency_data`;
`_operation` puts the result into the operation. Bodies are not parameters: they are `_operation`'s.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ferroapi._compat import ModelField
from ferroapi.datastructures import _Unset
from ferroapi.dependencies._field import _get_flat_fields_from_params, _get_param_aliases, _get_param_model
from ferroapi.dependencies.models import (
    Dependant,
    _get_cache_key,
    _get_oauth_scopes,
    _is_security_scheme,
    _UsesScopesCache,
)
from ferroapi.encoders import jsonable_encoder
from ferroapi.openapi._schemas import FieldMapping, Schemas
from ferroapi.openapi._security import SecurityDependencies
from ferroapi.params import ParamTypes
from ferroapi.types import ModelNameMap


@dataclass
class _OpenAPIDependencyData:
    """The parameters and security schemes of a whole dependency tree, in the order of a depth-first walk."""

    path_params: list[ModelField] = field(default_factory=list)
    query_params: list[ModelField] = field(default_factory=list)
    header_params: list[ModelField] = field(default_factory=list)
    cookie_params: list[ModelField] = field(default_factory=list)
    security_dependencies: SecurityDependencies = field(default_factory=list)

    def groups(self) -> Iterator[tuple[ParamTypes, list[ModelField]]]:
        """The parameters by where they travel, in the order the document lists them."""
        yield ParamTypes.path, self.path_params
        yield ParamTypes.query, self.query_params
        yield ParamTypes.header, self.header_params
        yield ParamTypes.cookie, self.cookie_params


def _get_openapi_dependency_data(dependant: Dependant) -> _OpenAPIDependencyData:
    """Flatten a dependency tree; a dependency that is used twice with the same scopes counts once.

    Source: FastAPI behaviour, `openapi.utils._get_openapi_dependency_data`.
    """
    data = _OpenAPIDependencyData()
    uses_scopes_cache: _UsesScopesCache = {}
    hashed: set[Any] = set()
    compared: list[Any] = []
    waiting: list[tuple[Dependant, list[str]]] = [(dependant, [])]
    while waiting:
        node, outer_scopes = waiting.pop()
        if not _is_new(_get_cache_key(dependant=node, uses_scopes_cache=uses_scopes_cache), hashed, compared):
            continue
        data.path_params += node.path_params
        data.query_params += node.query_params
        data.header_params += node.header_params
        data.cookie_params += node.cookie_params
        scopes = list(dict.fromkeys([*outer_scopes, *_get_oauth_scopes(dependant=node)]))
        # The root is an endpoint: even if it happens to be a scheme, nothing asked for it as one.
        if node is not dependant and _is_security_scheme(dependant=node):
            data.security_dependencies.append((node, scopes))
        waiting += [(dependency, scopes) for dependency in reversed(node.dependencies)]
    return data


def _is_new(key: Any, hashed: set[Any], compared: list[Any]) -> bool:
    """Tell whether a key is met for the first time; one that cannot be hashed is compared, as FastAPI does with all."""
    count = len(hashed)
    try:
        hashed.add(key)
    except Exception:  # whatever the class of a callable raises in `__hash__`
        if key in compared:
            return False
        compared.append(key)
        return True
    return len(hashed) != count


def _get_openapi_operation_parameters(
    *,
    dependency_data: _OpenAPIDependencyData,
    model_name_map: ModelNameMap,
    field_mapping: FieldMapping,
    separate_input_output_schemas: bool = True,
) -> list[dict[str, Any]]:
    """The Parameter Objects of all fields; the fields of a parameter model are listed one by one.

    Source: FastAPI behaviour, `openapi.utils._get_openapi_operation_parameters`.
    """
    schemas = Schemas(model_name_map, field_mapping, separate_input_output_schemas)
    return [
        parameter
        for location, group in dependency_data.groups()
        for parent in group
        if getattr(parent.field_info, "include_in_schema", True)
        for parameter in _parameters_of(parent, location, schemas)
    ]


def _parameters_of(parent: ModelField, location: ParamTypes, schemas: Schemas) -> Iterator[dict[str, Any]]:
    """One parameter, or one for each field when the parameter is declared with a model."""
    can_be_absent = _is_optional_model(parent)
    # A header model decides for its fields, unless a field says otherwise itself.
    model_converts = getattr(parent.field_info, "convert_underscores", True)
    for part in _get_flat_fields_from_params([parent]):
        info = part.field_info
        converts = location is ParamTypes.header and getattr(info, "convert_underscores", model_converts)
        alias, name = _get_param_aliases(part, convert_underscores=converts)[0]
        yield {
            "name": name,
            "in": location.value,
            "required": info.is_required() and not can_be_absent,
            "schema": schemas.of(part, alias=alias),
            **({"description": info.description} if info.description else {}),
            **example_entry(info),
            **({"deprecated": True} if getattr(info, "deprecated", None) else {}),
        }


def _is_optional_model(parent: ModelField) -> bool:
    """Whether the field is a model wrapped in `Optional` with a default: then none of its fields must be sent."""
    model = _get_param_model(parent)
    return model is not None and parent.field_info.annotation is not model and not parent.field_info.is_required()


def example_entry(info: Any) -> dict[str, Any]:
    """`examples`, else `example`, else nothing, of a parameter's or body's field info.

    Plain pydantic fields know neither and yield `example: None`, which the finished document leaves out.
    """
    if examples := getattr(info, "openapi_examples", None):
        return {"examples": jsonable_encoder(examples)}
    example = getattr(info, "example", None)
    return {} if example is _Unset else {"example": jsonable_encoder(example)}


def unique_parameters(parameters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One parameter for each name and place: the last required one if there is any, else the last one."""
    chosen: dict[tuple[str, str], dict[str, Any]] = {}
    for parameter in parameters:
        key = (parameter["in"], parameter["name"])
        if parameter["required"] or not chosen.get(key, parameter)["required"]:
            chosen[key] = parameter
    return list(chosen.values())
