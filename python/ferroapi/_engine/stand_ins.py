"""What the engine asks whether something stands for another library's code: here nothing does.

Each wing puts its own functions in the place of these when it is installed (`_wings`), before any application is made.
They are looked up at each use. Without a wing the library itself is asked, with the same result.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from ferroapi import _core
from ferroapi._compat import ModelField
from ferroapi._core import Row
from ferroapi._witness import rows_as_found

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def scalar_of(field: ModelField) -> _core.Scalar | None:
    """Return what a text of this field stands for, None if only pydantic knows."""
    return None


def model_serializer(field: ModelField, serialization: Mapping[str, Any]) -> _core.ModelSerializer | None:
    """Return what writes a response model with these keywords, None if only pydantic can."""
    return None


def is_validated_silently(field: ModelField) -> bool:
    """Tell whether it is known that a value is validated without running code of the application's."""
    return False


def is_unscoped(task: "asyncio.Task[Any]") -> bool:
    """Tell whether it is known that no cancel scope of AnyIO's is around what a task does, nor will be."""
    return False


def _rows_of_layers(layers: Iterable[Any]) -> Iterator[Row]:
    for layer in layers:
        yield from rows_as_found(type(layer), "__call__")
        yield from rows_as_found(layer, "app", "__call__")


def _explain_as_called(classes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for cls in classes:
        yield getattr(cls, "__name__", type(cls).__name__), "what stands for middleware is switched off"


class Middleware(NamedTuple):
    """How the layers of a built stack are run."""

    knows: Callable[[Any], Any]
    """Tells whether a layer can be run in another way than by calling it."""
    rows: Callable[[Iterable[Any]], Iterator[Row]]
    """Gives the rows of what calling layers does."""
    chain: Callable[[Any, list[Any], list[Any], Application], Application | None]
    """Makes one application of `(application, outer layers, known layers, downstream)`; None if the stack is called."""
    explain: Callable[[Iterable[Any]], Iterator[tuple[str, str]]]
    """Gives the name of each class of middleware, outermost first, and why it runs as it is; empty if it need not."""


def _no_chain(application: Any, outer: list[Any], layers: list[Any], downstream: Application) -> None:
    return None


middleware = Middleware(lambda layer: False, _rows_of_layers, _no_chain, _explain_as_called)
