"""Reads a callable's signature with its annotations resolved.

The first step of `_analyze`; it gives no meaning to what it reads.
"""

import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from types import FunctionType
from typing import Any, ForwardRef, get_args, get_origin

from ferroapi import _core
from ferroapi._compat import evaluate_forwardref
from ferroapi._witness import Part

_STREAM_ORIGINS = frozenset({AsyncIterable, AsyncIterator, AsyncGenerator, Iterable, Iterator, Generator})


_EMPTY = inspect.Parameter.empty
_VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


def get_typed_signature(call: Callable[..., Any]) -> inspect.Signature:
    """Return the parameters of a callable with string annotations evaluated where that is possible.

    Source: FastAPI behaviour, `dependencies.utils.get_typed_signature`.
    """
    namespace = _defining_namespace(call)
    return inspect.Signature(
        [
            parameter.replace(annotation=get_typed_annotation(parameter.annotation, namespace))
            for parameter in _get_signature(call).parameters.values()
        ]
    )


Parameter = tuple[str, Any, Any]
"""Name, annotation and default of a parameter; what is absent is `inspect.Parameter.empty`."""


def read_parameters(call: Callable[..., Any]) -> list[Parameter]:
    """Return what `get_typed_signature` finds, without `inspect` where the function says it all itself."""
    if (annotations := _plain_annotations(call)) is not None and not call.__code__.co_flags & _VARIADIC:
        code = call.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        positional = call.__defaults__ or ()
        defaults = dict(zip(names[code.co_argcount - len(positional) :], positional, strict=False))
        defaults |= call.__kwdefaults__ or {}
        return [(name, annotations.get(name, _EMPTY), defaults.get(name, _EMPTY)) for name in names]
    return [(each.name, each.annotation, each.default) for each in get_typed_signature(call).parameters.values()]


def _plain_annotations(call: Any) -> dict[str, Any] | None:
    """Return the annotations of a function that nobody has wrapped or given another signature, if none is a string."""
    if type(call) is not FunctionType or call.__dict__ or _core.is_replaced(Part.DECLARATION):
        return None
    try:
        annotations = call.__annotations__
    except NameError:  # Since Python 3.14 they are evaluated when they are asked for.
        return None
    return None if str in map(type, annotations.values()) else annotations


def get_typed_return_annotation(call: Callable[..., Any]) -> Any:
    """Return the evaluated return annotation of a callable, None when there is none."""
    if (annotations := _plain_annotations(call)) is not None:
        return annotations.get("return")
    annotation = _get_signature(call).return_annotation
    if annotation is inspect.Signature.empty:
        return None
    return get_typed_annotation(annotation, _defining_namespace(call))


def get_typed_annotation(annotation: Any, globalns: dict[str, Any]) -> Any:
    """Evaluate an annotation that is still a string; a name that is unknown stays a forward reference."""
    if not isinstance(annotation, str):
        return annotation
    evaluated = evaluate_forwardref(ForwardRef(annotation), globalns, globalns)
    return None if evaluated is type(None) else evaluated


def get_stream_item_type(annotation: Any) -> Any | None:
    """Return what an iterator or generator annotation yields, None for any other annotation."""
    if get_origin(annotation) not in _STREAM_ORIGINS:
        return None
    # A bare `typing.Iterator` has the origin and no arguments.
    return next(iter(get_args(annotation)), Any)


def _defining_namespace(call: Callable[..., Any]) -> dict[str, Any]:
    """Return the globals of the function below any decorators, empty for other callables."""
    namespace: dict[str, Any] = getattr(inspect.unwrap(call), "__globals__", {})
    return namespace


def _get_signature(call: Callable[..., Any]) -> inspect.Signature:
    """Return the signature; one name that cannot be evaluated yet leaves all annotations as they were written."""
    try:
        return inspect.signature(call, eval_str=True)
    except NameError:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            return inspect.signature(call, annotation_format=Format.FORWARDREF)
        return inspect.signature(call)
