"""`Dependant` and the classification of callables."""

import functools
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from fastapi.dependencies import models as theirs

from ferroapi.dependencies import models as ours
from ferroapi.security import APIKeyHeader


def plain() -> None: ...
async def coroutine() -> None: ...
def generator() -> Any:
    yield


async def async_generator() -> Any:
    yield


class Plain:
    def __call__(self) -> None: ...


class Coroutine:
    __hash__ = None  # type: ignore[assignment]

    async def __call__(self) -> None: ...


class Generator:
    def __call__(self) -> Any:
        yield


class AsyncGenerator:
    async def __call__(self) -> Any:
        yield


class WithPartialCall:
    def __init__(self, call: Callable[..., Any]) -> None:
        self.__wrapped__ = call

    def __call__(self) -> None: ...


def wrapped_in(wrapper: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    return functools.wraps(call)(wrapper)


CALLS: list[Any] = [
    plain,
    coroutine,
    generator,
    async_generator,
    *(functools.partial(functools.partial(call)) for call in (plain, coroutine, generator, async_generator)),
    Plain,
    AsyncGenerator,
    Plain(),
    Coroutine(),
    Generator(),
    AsyncGenerator(),
    functools.partial(Coroutine()),
    Generator().__call__,
    wrapped_in(lambda: None, coroutine),
    wrapped_in(lambda: None, generator),
    wrapped_in(lambda: None, async_generator),
    WithPartialCall(coroutine),
    WithPartialCall(AsyncGenerator()),
    Mock(__wrapped__=plain),
    AsyncMock(__wrapped__=plain),
    len,
    dict,
    None,
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["_is_gen_callable", "_is_async_gen_callable", "_is_coroutine_callable"])
def test_classification_is_that_of_fastapi(kind: str, call: Any) -> None:
    assert getattr(ours, kind)(call) is getattr(theirs, kind)(call)


def test_classification_is_by_identity_and_not_by_equality() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 1

    class EqualCoroutine(Equal):
        async def __call__(self) -> None: ...

    class EqualPlain(Equal):
        def __call__(self) -> None: ...

    assert ours._is_coroutine_callable(EqualCoroutine())
    assert not ours._is_coroutine_callable(EqualPlain())


def test_classification_follows_an_assigned_call() -> None:
    dependant = ours.Dependant(call=plain)
    assert ours._get_computed_scope(dependant=dependant) is None
    dependant.call = generator
    assert ours._get_computed_scope(dependant=dependant) == "request"
    dependant.scope = "function"
    assert ours._get_computed_scope(dependant=dependant) == "function"


def test_dependant_fields_are_those_of_fastapi() -> None:
    assert list(ours.Dependant.__dataclass_fields__) == list(theirs.Dependant.__dataclass_fields__)
    assert ours.Dependant.__slots__ == theirs.Dependant.__slots__


def test_oauth_scopes_are_the_parents_then_the_own_without_repetition() -> None:
    dependant = ours.Dependant(parent_oauth_scopes=["b", "a"], own_oauth_scopes=["c", "a", "c"])
    assert ours._get_oauth_scopes(dependant=dependant) == ["b", "a", "c"]


def test_cache_key_has_scopes_only_where_something_below_uses_them() -> None:
    child = ours.Dependant(call=plain)
    dependant = ours.Dependant(call=coroutine, parent_oauth_scopes=["b", "a"], dependencies=[child])
    assert ours._get_cache_key(dependant=dependant) == (coroutine, (), "")
    child.security_scopes_param_name = "scopes"
    assert ours._get_cache_key(dependant=dependant) == (coroutine, ("a", "b"), "")


def test_uses_scopes_does_not_believe_an_entry_of_another_node() -> None:
    dependant = ours.Dependant(own_oauth_scopes=["a"])
    stale = {id(dependant): (ours.Dependant(), False)}
    assert ours._uses_scopes(dependant=dependant, cache=stale)


def test_security_scheme_is_found_below_a_partial() -> None:
    scheme = APIKeyHeader(name="key")
    dependant = ours.Dependant(call=functools.partial(scheme))
    assert ours._is_security_scheme(dependant=dependant)
    assert ours._get_security_scheme(dependant=dependant) is scheme
    assert not ours._is_security_scheme(dependant=ours.Dependant())
