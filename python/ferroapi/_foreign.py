"""Objects of the real `fastapi` in a ferroapi application: an error where they are declared, which names the alias.

They look like ours and would be taken for something else: a dependency that guards a path, for a parameter's default.
"""

import sys
import warnings
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from ferroapi._signature import user_stack_level
from ferroapi.exceptions import FastAPIError

_THEIRS = "fastapi"

# Starlette's classes do all that these are asked for.
_HARMLESS_MODULES = frozenset({"fastapi.responses"})

_WAY_OUT = (
    "let every `import fastapi` mean ferroapi: start the process with FERROAPI_ALIAS=1 in its environment, or call "
    "ferroapi.alias.install() before the first import."
)

# Where tracers stand in the real `fastapi`: a module, a class in it or none, and a name.
_INSTRUMENTED = (
    ("fastapi", "", "FastAPI"),
    ("fastapi.applications", "FastAPI", "build_middleware_stack"),
    ("fastapi.routing", "APIRoute", "__init__"),
    ("fastapi.routing", "APIRoute", "handle"),
    ("fastapi.routing", "", "get_request_handler"),
    ("fastapi.routing", "", "run_endpoint_function"),
    ("fastapi.routing", "", "serialize_response"),
    ("fastapi.routing", "", "solve_dependencies"),
)
_FRAMEWORKS = frozenset({_THEIRS, "ferroapi", "starlette"})


def refuse_foreign(*values: Any) -> None:
    """Refuse instances and subclasses of classes that the real `fastapi` defines.

    Raises:
        FastAPIError: one of the values is such an object; the message says how to have one framework only.
    """
    if not _is_other_there():
        return
    for value in values:
        for base in (value if isinstance(value, type) else type(value)).__mro__:
            if base.__module__.partition(".")[0] == _THEIRS and base.__module__ not in _HARMLESS_MODULES:
                raise FastAPIError(_message(value, base))


def refuse_foreign_options(options: Mapping[str, Any]) -> None:
    """Refuse such objects among the values of options, and in the lists among them.

    Raises:
        FastAPIError: as `refuse_foreign`.
    """
    if _is_other_there():
        for value in options.values():
            refuse_foreign(*(value if isinstance(value, list | tuple) else (value,)))


def refuse_foreign_exceptions(*keys: Any) -> None:
    """Refuse classes of the real `fastapi` that are to have a handler: what ferroapi raises would not meet it.

    Raises:
        FastAPIError: as `refuse_foreign`; a class of the user's own below one of them is none.
    """
    refuse_foreign(*(key for key in keys if isinstance(key, type) and key.__module__.partition(".")[0] == _THEIRS))


def warn_of_methods(route: Any) -> None:
    """Warn of an endpoint that is a method whose `self` nobody has filled in, so that every request lacks it.

    A package that does so (Ray Serve's `ingress`) leaves alone what is no application of the real `fastapi`.
    """
    if _is_other_there() and any(field.name == "self" for field in route.dependant.query_params):
        name = getattr(route.endpoint, "__qualname__", repr(route.endpoint))
        message = f"The endpoint {name} takes `self` from the query. If a package is to fill it in, {_WAY_OUT}"
        warnings.warn(message, RuntimeWarning, stacklevel=user_stack_level())


def warn_of_tracers() -> None:
    """Warn where a package has instrumented the real `fastapi`: it does not see the application that is made now."""
    for module, owner, name in _INSTRUMENTED if _is_other_there() else ():
        found = getattr(sys.modules.get(module), owner or name, None)
        found = getattr(found, name, None) if owner else found
        if found is not None and (by := _home(found)).partition(".")[0] not in _FRAMEWORKS:
            where = ".".join(part for part in (module, owner, name) if part)
            message = f"{by} has replaced {where} of the real fastapi, and does not see applications of ferroapi."
            warnings.warn(f"{message} To be seen, {_WAY_OUT}", RuntimeWarning, stacklevel=user_stack_level())
            return


def _home(found: Any) -> str:
    if type(found) is FunctionType:
        return str(found.__globals__.get("__name__"))
    return str((found if issubclass(type(found), type) else type(found)).__module__)


def _is_other_there() -> bool:
    # Under the alias there is no other: this module is part of `fastapi`.
    return _THEIRS in sys.modules and __name__.partition(".")[0] != _THEIRS


def _message(value: Any, base: type) -> str:
    name = f"{base.__module__}.{base.__qualname__}"
    what = f"an object of {name}" if not isinstance(value, type) else name if value is base else f"a subclass of {name}"
    return (
        f"ferroapi was given {what}, of the real fastapi, which it does not know: {value!r}. Import the name from "
        f"ferroapi; or, if a package brings it, {_WAY_OUT}"
    )
