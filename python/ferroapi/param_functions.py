"""`Path()` to `Security()`, as written in signatures: functions that return Any, so that any annotation type-checks."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from starlette.exceptions import HTTPException
from typing_extensions import Unpack

from ferroapi import params
from ferroapi._compat import Undefined
from ferroapi._imported import imported_names
from ferroapi._option_defaults import BODY_DEFAULTS, FILE_DEFAULTS, FORM_DEFAULTS, HEADER_DEFAULTS, PARAM_DEFAULTS
from ferroapi._options import BodyOptions, FormOptions, HeaderOptions, ParamOptions
from ferroapi._signature import expands


# Editors find the options of a function where it passes `**options` to something that names them.
@expands(ParamOptions, PARAM_DEFAULTS)
def Path(default: Any = ..., **options: Unpack[ParamOptions]) -> Any:
    """Declare a part of the path; it has no default."""
    return params.Path(default=default, **(PARAM_DEFAULTS | ParamOptions(**options)))


@expands(ParamOptions, PARAM_DEFAULTS)
def Query(default: Any = Undefined, **options: Unpack[ParamOptions]) -> Any:
    """Declare a value of the query string."""
    return params.Query(default=default, **(PARAM_DEFAULTS | ParamOptions(**options)))


@expands(HeaderOptions, HEADER_DEFAULTS)
def Header(default: Any = Undefined, **options: Unpack[HeaderOptions]) -> Any:
    """Declare a header."""
    return params.Header(default=default, **(HEADER_DEFAULTS | HeaderOptions(**options)))


@expands(ParamOptions, PARAM_DEFAULTS)
def Cookie(default: Any = Undefined, **options: Unpack[ParamOptions]) -> Any:
    """Declare a cookie."""
    return params.Cookie(default=default, **(PARAM_DEFAULTS | ParamOptions(**options)))


@expands(BodyOptions, BODY_DEFAULTS)
def Body(default: Any = Undefined, **options: Unpack[BodyOptions]) -> Any:
    """Declare the body, or a key of it."""
    return params.Body(default=default, **(BODY_DEFAULTS | BodyOptions(**options)))


@expands(FormOptions, FORM_DEFAULTS)
def Form(default: Any = Undefined, **options: Unpack[FormOptions]) -> Any:
    """Declare a field of a form."""
    return params.Form(default=default, **(FORM_DEFAULTS | FormOptions(**options)))


@expands(FormOptions, FILE_DEFAULTS)
def File(default: Any = Undefined, **options: Unpack[FormOptions]) -> Any:
    """Declare a file of a multipart form."""
    return params.File(default=default, **(FILE_DEFAULTS | FormOptions(**options)))


def Depends(
    dependency: Callable[..., Any] | None = None,
    *,
    use_cache: bool = True,
    scope: Literal["function", "request", "lifespan"] | None = None,
    max_concurrency: int | None = None,
    raises: Sequence[type[HTTPException]] = (),
) -> Any:
    """Declare a dependency: the parameter receives what `dependency` returns or yields.

    `use_cache` shares one call per request; `scope` says when a generator is closed: "function", after the endpoint,
    "request", after the response, or "lifespan", when the application stops (one value for all requests);
    `max_concurrency` limits how many threads run it at once; `raises` are the errors that it documents.
    """
    depends = params.Depends(dependency=dependency, use_cache=use_cache, scope=scope, max_concurrency=max_concurrency)
    return params._declare_errors(depends, raises)


def Security(
    dependency: Callable[..., Any] | None = None,
    *,
    scopes: Sequence[str] | None = None,
    use_cache: bool = True,
    raises: Sequence[type[HTTPException]] = (),
) -> Any:
    """Declare a dependency that needs OAuth `scopes`; `raises` are the errors that it documents."""
    return params._declare_errors(params.Security(dependency=dependency, scopes=scopes, use_cache=use_cache), raises)


if not TYPE_CHECKING:
    __getattr__ = imported_names(__name__)
