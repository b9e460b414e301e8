"""Reading callables: string annotations, wrapped functions, names that do not exist yet."""

import functools
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Any, ForwardRef, Optional

import pytest
from fastapi.dependencies import utils as theirs

from ferroapi.dependencies import _signature as ours


class Item: ...


def stringified(a: "int", b: "Item", c: "None" = None, *, d: "list[Item] | None" = None) -> "Item":
    return b


def forward(a: "Later", b: "int") -> "Later": ...  # type: ignore[name-defined]  # noqa: F821
def unannotated(a, b=1, *c, **d): ...  # type: ignore[no-untyped-def]
def nothing() -> None: ...


@functools.wraps(stringified)
def wrapper(*args: Any, **kwargs: Any) -> Any: ...


class Callee:
    def __init__(self, a: "Item") -> None: ...

    def __call__(self, a: "int") -> "Item":
        return Item()


CALLS: list[Callable[..., Any]] = [
    stringified,
    forward,
    unannotated,
    nothing,
    wrapper,
    functools.partial(stringified, 1),
    Callee,
    Callee(Item()),
    Callee(Item()).__call__,
]


@pytest.mark.parametrize("call", CALLS)
def test_signature_is_read_as_by_fastapi(call: Callable[..., Any]) -> None:
    assert ours.get_typed_signature(call) == theirs.get_typed_signature(call)
    assert ours.get_typed_return_annotation(call) == theirs.get_typed_return_annotation(call)


def test_typed_signature_evaluates_strings() -> None:
    parameters = ours.get_typed_signature(stringified).parameters
    assert [parameter.annotation for parameter in parameters.values()] == [int, Item, None, list[Item] | None]
    assert parameters["c"].default is None
    assert parameters["a"].default is inspect.Parameter.empty


def test_typed_signature_keeps_a_name_that_does_not_exist_yet() -> None:
    parameters = ours.get_typed_signature(forward).parameters
    assert parameters["a"].annotation == ForwardRef("Later")
    assert parameters["b"].annotation is int


@pytest.mark.parametrize("annotation", ["None", "int", "Missing", int, None, type(None), Optional[int]])  # noqa: UP045
def test_typed_annotation_is_that_of_fastapi(annotation: Any) -> None:
    assert ours.get_typed_annotation(annotation, globals()) == theirs.get_typed_annotation(annotation, globals())


@pytest.mark.parametrize(
    ("annotation", "item"),
    [
        (AsyncIterable[int], int),
        (AsyncIterator[Item], Item),
        (Generator[str, None, None], str),
        (Iterable[int | None], int | None),
        (Iterator[Any], Any),
        (list[int], None),
        (Iterator, None),
        (int, None),
        (None, None),
    ],
    ids=str,
)
def test_stream_item_type(annotation: Any, item: Any) -> None:
    assert ours.get_stream_item_type(annotation) == item == theirs.get_stream_item_type(annotation)


def test_stream_item_type_of_a_bare_typing_alias_is_any() -> None:
    from typing import Iterator as BareIterator  # noqa: UP035

    assert ours.get_stream_item_type(BareIterator) is Any


def plain(a: int, b: "str", /, c: float = 1.5, *, d: bool, e: Any = None) -> int: ...
def resolved(a: int, b: str, /, c: float = 1.5, *, d: bool, e: Any = None) -> int: ...
def variadic(a: int, *args: int, **kwargs: str) -> None: ...
def bare(a, b=1, *, c=2): ...  # type: ignore[no-untyped-def]


class Called:
    def __call__(self, a: int, b: str = "x") -> bytes: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    "call",
    [
        plain,
        resolved,
        variadic,
        bare,
        Called(),
        Called,
        Called().__call__,
        functools.partial(resolved, 1),
        functools.wraps(resolved)(bare),
    ],
)
def test_parameters_are_those_of_the_typed_signature(call: Any) -> None:
    expected = [
        (each.name, each.annotation, each.default) for each in ours.get_typed_signature(call).parameters.values()
    ]
    assert ours.read_parameters(call) == expected
