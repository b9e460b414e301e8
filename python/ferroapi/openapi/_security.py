"""Which security schemes an operation asks for, as OpenAPI says it.

`_parameters` finds the schemes among the dependencies; here they become the `securitySchemes` of the components and the
`security` of the operation. Nothing is checked here: that is `ferroapi.security`'s.
"""

from typing import Any

from ferroapi.dependencies.models import Dependant, _get_security_scheme
from ferroapi.encoders import jsonable_encoder

SecurityDependencies = list[tuple[Dependant, list[str]]]
"""Dependants whose call is a security scheme, each with the OAuth scopes asked for on the way to it."""


def _get_openapi_security_definitions(
    security_dependencies: SecurityDependencies,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The schemes by name, and one requirement a name with the scopes of all its uses.

    Source: FastAPI behaviour, `openapi.utils._get_openapi_security_definitions`.
    """
    definitions: dict[str, Any] = {}
    # The inner dict is a set that remembers the order in which the scopes were first asked for.
    scopes_by_name: dict[str, dict[str, None]] = {}
    for dependant, scopes in security_dependencies:
        scheme = _get_security_scheme(dependant=dependant)
        definitions[scheme.scheme_name] = jsonable_encoder(scheme.model, by_alias=True, exclude_none=True)
        scopes_by_name.setdefault(scheme.scheme_name, {}).update(dict.fromkeys(scopes))
    return definitions, [{name: list(scopes)} for name, scopes in scopes_by_name.items()]
