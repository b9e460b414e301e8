"""How an inner setting meets an outer one: app to router, router to include, include to route.

One table serves all of them. Which settings meet where is said by the caller.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ferroapi._beyond.declared_errors import check_errors
from ferroapi._body_limit import get_body_size_limit
from ferroapi.utils import get_value_or_default


def _joined(outer: Any, inner: Any) -> Any:
    return [*outer, *(inner or [])]


def _inner_unless_default(outer: Any, inner: Any) -> Any:
    return get_value_or_default(inner, outer)


_RULES: Mapping[str, Callable[[Any, Any], Any]] = {
    "prefix": lambda outer, inner: outer + inner,
    "tags": _joined,
    "dependencies": _joined,
    "callbacks": _joined,
    "responses": lambda outer, inner: {**outer, **(inner or {})},
    "deprecated": lambda outer, inner: inner or outer,
    "include_in_schema": lambda outer, inner: outer and inner,
    "response_class": _inner_unless_default,
    "default_response_class": _inner_unless_default,
    "generate_unique_id_function": _inner_unless_default,
    "strict_content_type": _inner_unless_default,
    "max_body_size": lambda outer, inner: get_body_size_limit(inner, outer),
    "cancel_on_disconnect": lambda outer, inner: outer if inner is None else inner,
    "wait_for_first_item": lambda outer, inner: outer if inner is None else inner,
    "raises": lambda outer, inner: (*outer, *check_errors(inner)),
}

SHARED_SETTINGS = tuple(name for name in _RULES if name not in ("prefix", "response_class", "default_response_class"))
"""The settings that a router, an include and a route all have under the same name."""


def inherit_all(names: Iterable[str], outer: object, inner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the effective values of the named settings: attributes of `outer` met by entries of `inner`.

    Source: FastAPI behaviour, `APIRouter.add_api_route`, `_RouterIncludeContext` and `_EffectiveRouteContext`.
    """
    return {name: _RULES[name](getattr(outer, name), inner[name]) for name in names}
