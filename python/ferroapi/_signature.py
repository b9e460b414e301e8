"""`expands`: give a function that takes `**options: Unpack[SomeOptions]` the explicit run-time signature it stands for.
Works when somebody looks, not at import, so that options may name classes defined later. Holds no options itself."""

import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property, wraps
from typing import Any, ForwardRef, TypeVar

from ferroapi._tracebacks import without_own_frames
from ferroapi.exceptions import FastAPIDeprecationWarning

_OWN_OPTIONS = frozenset(
    {
        "cancel_on_disconnect",
        "docs_assets",
        "exception_handlers",
        "middleware",
        "problem_details",
        "raises",
        "wait_for_first_item",
    }
)
"""Options that FastAPI has not. They are passed on only where they are given: an override may not know them."""

FunctionType = TypeVar("FunctionType", bound=Callable[..., Any])


class _ExpandedSignature(inspect.Signature):
    """A signature whose parameters are made on first use."""

    def __init__(self, function: Callable[..., Any], options: Any, defaults: Mapping[str, Any], widened: Any) -> None:
        self._function = function
        self._options = options
        self._defaults = defaults
        self._widened = widened
        super().__init__(return_annotation=function.__annotations__.get("return", inspect.Signature.empty))

    @cached_property
    def _own(self) -> inspect.Signature:
        return inspect.signature(self._function)

    @cached_property
    def _expanded(self) -> inspect.Signature:
        own = [parameter for parameter in self._own.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
        named = {parameter.name: parameter for parameter in own if parameter.kind is parameter.KEYWORD_ONLY}
        types = _option_types(self._options) | self._widened

        def option(name: str, default: Any) -> inspect.Parameter:
            # A parameter that the function spells out itself takes its place among the defaults.
            written = named.pop(name, None)
            return written or inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[name]
            )

        # An option of ours alone has no default to pass on, and stands last.
        ours = [name for name in types if name not in self._defaults and name in _OWN_OPTIONS]
        expanded = [option(name, default) for name, default in self._defaults.items()]
        expanded += [option(name, None) for name in ours]
        positional = [parameter for parameter in own if parameter.kind is not parameter.KEYWORD_ONLY]
        return inspect.Signature(
            [*positional, *named.values(), *expanded], return_annotation=self._own.return_annotation
        )

    @property
    def parameters(self) -> Any:
        return self._expanded.parameters

    def replace(
        self, *, parameters: Any = inspect.Signature.empty, return_annotation: Any = inspect.Signature.empty
    ) -> Any:
        changes: dict[str, Any] = {"parameters": parameters, "return_annotation": return_annotation}
        given = {name: value for name, value in changes.items() if value is not inspect.Signature.empty}
        return self._expanded.replace(**given)

    __replace__ = replace

    def __reduce__(self) -> Any:
        return self._expanded.__reduce__()


def _option_types(options: Any) -> dict[str, Any]:
    """Return the types of a TypedDict's keys, with the quoted ones looked up in its module and its `late_names()`."""
    module = sys.modules[options.__module__]
    late_names: Callable[[], dict[str, Any]] = getattr(module, "late_names", dict)
    namespace = vars(module) | late_names()

    def resolved(annotation: Any) -> Any:
        # Only what is quoted as a whole: a recursive alias such as IncEx must stay as it is written.
        return eval(annotation.__forward_arg__, namespace) if isinstance(annotation, ForwardRef) else annotation

    return {name: resolved(annotation) for name, annotation in options.__annotations__.items()}


def expands(options: Any, defaults: Mapping[str, Any], **widened: Any) -> Callable[[FunctionType], FunctionType]:
    """Show each option as a keyword of its own in `inspect.signature`, and refuse keywords that are no option.

    `defaults` gives the keywords' order and defaults; `widened` replaces an option's type for this function only.
    The function receives only what the caller gave: it merges with `DEFAULTS | options` where it needs the rest.

    Raises:
        TypeError: by the decorated function, for an unknown keyword, in Python's own words.
    """

    def decorate(function: FunctionType) -> FunctionType:
        # Read off the code, since `inspect` for every function here would take a tenth of the import.
        code = function.__code__
        own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        known = frozenset(defaults).union(own, _OWN_OPTIONS & options.__annotations__.keys())
        is_method = "self" in own

        @wraps(function)
        def checked(*args: Any, **given: Any) -> Any:
            try:
                if not given.keys() <= known:
                    owner = f"{type(args[0]).__name__}.{function.__name__}" if is_method else function.__name__
                    unknown = next(name for name in given if name not in known)
                    raise TypeError(f"{owner}() got an unexpected keyword argument {unknown!r}")
                return function(*args, **given)
            except Exception as error:
                error.__traceback__ = without_own_frames(error.__traceback__)
                raise

        checked.__signature__ = _ExpandedSignature(function, options, defaults, widened)  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate


def user_stack_level() -> int:
    """Return the `stacklevel` with which the caller's warning points at the nearest line outside this package."""
    # Asked now: under the alias the package has FastAPI's name. The first line is this one, hence one less.
    return stack_level_outside(__name__.partition(".")[0]) - 1


def stack_level_outside(module: str) -> int:
    """Return the `stacklevel` with which the caller's warning points at the nearest line outside a module."""
    frame = inspect.currentframe()
    frame = frame and frame.f_back
    found = 1
    while frame is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(f"{module}."):
        frame = frame.f_back
        found += 1
    return found


def warn_deprecated(message: str) -> None:
    """Warn with `FastAPIDeprecationWarning` at the line of user code that led here."""
    warnings.warn(message, category=FastAPIDeprecationWarning, stacklevel=user_stack_level())
