"""How the engine calls a graph: arguments in their places, shared results once, and what changes between requests."""

import asyncio
import functools
import importlib
import itertools
from types import FunctionType, ModuleType
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .asgi import Answer, ask, http_scope

FRAMEWORKS = ("fastapi", "ferroapi")
KINDS = ("dependency", "query", "path", "header", "request")


def answered(app: Any, *paths: str) -> list[Answer]:
    async def all_of_them() -> list[Answer]:
        return [await ask(app, http_scope(path, query=b"query=3", headers=[(b"header", b"4")])) for path in paths]

    return asyncio.run(all_of_them())


def function(kinds: tuple[str, ...], form: str, framework: ModuleType) -> Any:
    """An endpoint whose arguments are of these kinds, in this order, and which tells what it was given where."""

    def dependency(query: int) -> str:
        return f"dependency {query}"

    annotations = {
        "dependency": Annotated[str, framework.Depends(dependency)],
        "query": int,
        "path": Annotated[float, framework.Path()],
        "header": Annotated[str, framework.Header()],
        "request": framework.Request,
    }
    before = {"keyword only": "*, ", "wrapped": ""}.get(form, "")
    # The names are given as they are; a request is told by its type.
    values = ", ".join(f"({kind!r}, type({kind}).__name__ if {kind!r} == 'request' else {kind})" for kind in kinds)
    source = f"async def endpoint({before}{', '.join(kinds)}): return [{values}]"
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    endpoint = namespace["endpoint"]
    endpoint.__annotations__ = {kind: annotations[kind] for kind in kinds}
    if form != "wrapped":
        return endpoint

    async def wrapper(*arguments: Any, **named: Any) -> Any:
        return [len(arguments), sorted(named), await endpoint(*arguments, **named)]

    wrapper.__wrapped__ = endpoint  # type: ignore[attr-defined]
    return wrapper


@given(st.permutations(KINDS), st.integers(0, len(KINDS)), st.sampled_from(["plain", "keyword only", "wrapped"]))
def test_arguments_are_in_their_places(kinds: list[str], count: int, form: str) -> None:
    chosen = tuple(kinds[:count]) if "path" in kinds[:count] else (*kinds[:count], "path")
    chosen = tuple(dict.fromkeys(chosen))
    found = []
    for framework in map(importlib.import_module, FRAMEWORKS):
        app = framework.FastAPI(openapi_url=None)
        app.get("/{path}")(function(chosen, form, framework))
        found.append(answered(app, "/1.5", "/x"))
    assert found[0] == found[1]
    assert [answer.status for answer in found[0]] == [200, 422]


@pytest.mark.parametrize("order", list(itertools.permutations(("first", "second", "third"))))
def test_function_whose_code_is_replaced_is_called_by_name(order: tuple[str, ...]) -> None:
    namespace: dict[str, Any] = {}
    exec(f"async def other({', '.join(order)}): return ['other', first, second, third]", namespace)
    other: FunctionType = namespace["other"]
    found = []
    for framework in map(importlib.import_module, FRAMEWORKS):

        async def endpoint(first: int = 1, second: int = 2, third: int = 3) -> list[Any]:
            return [first, second, third]

        app = framework.FastAPI(openapi_url=None)
        app.get("/")(endpoint)
        before = answered(app, "/")
        endpoint.__code__ = other.__code__
        found.append([before, answered(app, "/")])
    assert found[0] == found[1]
    assert found[0][1][0].body == b'["other",1,2,3]'


def shared(framework: ModuleType, use_cache: bool) -> list[Answer]:
    calls: list[str] = []

    async def base() -> int:
        calls.append("base")
        return len(calls)

    async def left(base: int = framework.Depends(base)) -> int:
        calls.append("left")
        return base

    async def right(base: int = framework.Depends(base, use_cache=use_cache)) -> int:
        calls.append("right")
        return base

    async def endpoint(
        left: int = framework.Depends(left),
        right: int = framework.Depends(right, use_cache=use_cache),
        again: int = framework.Depends(right),
    ) -> list[Any]:
        return [left, right, again, calls]

    app = framework.FastAPI(openapi_url=None)
    app.get("/")(endpoint)
    return answered(app, "/")


@pytest.mark.parametrize("use_cache", [True, False])
def test_result_of_a_dependency_is_shared_as_by_fastapi(use_cache: bool) -> None:
    ours, theirs = (shared(importlib.import_module(name), use_cache) for name in FRAMEWORKS)
    assert ours == theirs


def test_graph_of_thousands_of_dependencies_is_run_by_the_engine() -> None:
    framework = importlib.import_module("ferroapi")

    def above(below: Any) -> Any:
        async def dependency(
            left: int = framework.Depends(below), right: int = framework.Depends(below, use_cache=False)
        ) -> int:
            return left + right

        return dependency

    async def lowest() -> int:
        return 1

    app = framework.FastAPI(openapi_url=None)
    app.get("/")(functools.reduce(lambda below, _: above(below), range(12), lowest))
    assert [row.mode for row in app.explain()] == ["native"]
    (answer,) = answered(app, "/")
    assert answer.body == b"4096"


async def _word() -> str:
    return "word"


async def _other_word() -> str:
    return "other"


def _assigned(app: Any) -> None:
    app.dependency_overrides = {_word: _other_word}


def _assigned_often(app: Any) -> None:
    for _ in range(100):  # until the interpreter has specialized the store
        app.dependency_overrides = {_word: _other_word}


def _added(app: Any) -> None:
    app.dependency_overrides[_word] = _other_word


def _in_the_dict(app: Any) -> None:
    app.__dict__["dependency_overrides"] = {_word: _other_word}


def _in_another_dict(app: Any) -> None:
    app.__dict__ = {**app.__dict__, "dependency_overrides": {_word: _other_word}}


def _property_of_the_class(app: Any) -> None:
    type(app).dependency_overrides = property(lambda self: {_word: _other_word}, lambda self, value: None)


def _lookup_of_the_class(app: Any) -> None:
    def look(self: Any, name: str) -> Any:
        return {_word: _other_word} if name == "dependency_overrides" else object.__getattribute__(self, name)

    type(app).__getattribute__ = look


def _class_of_the_instance(app: Any) -> None:
    own = type("Own", (type(app),), {"dependency_overrides": property(lambda self: {_word: _other_word})})
    app.__class__ = own


@pytest.mark.parametrize(
    "override",
    [
        *(_assigned, _assigned_often, _added, _in_the_dict, _in_another_dict),
        *(_property_of_the_class, _lookup_of_the_class, _class_of_the_instance),
    ],
)
def test_override_after_requests_is_noticed(override: Any) -> None:
    for name in FRAMEWORKS:
        framework = importlib.import_module(name)

        async def endpoint(word: str = framework.Depends(_word)) -> str:
            return word

        app = type("Application", (framework.FastAPI,), {})(openapi_url=None)
        app.get("/")(endpoint)
        assert [answer.body for answer in answered(app, "/", "/", "/")] == [b'"word"'] * 3
        override(app)
        assert [answer.body for answer in answered(app, "/", "/")] == [b'"other"'] * 2


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_override_that_depends_on_what_it_overrides_ends_in_recursion(framework: str) -> None:
    module = importlib.import_module(framework)
    app = module.FastAPI()

    def settings() -> str:
        return "real"

    def changed(settings: Annotated[str, module.Depends(settings)]) -> str:
        return f"changed {settings}"

    def endpoint(settings: Annotated[str, module.Depends(settings)]) -> str:
        return settings

    app.get("/")(endpoint)
    app.dependency_overrides[settings] = changed
    raised = answered(app, "/")[0].raised
    assert raised is not None and "maximum recursion depth exceeded" in raised
    app.dependency_overrides[settings] = lambda: "other"
    assert answered(app, "/")[0].body == b'"other"'


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_unknown_scope_is_taken_as_that_of_a_request(framework: str) -> None:
    module = importlib.import_module(framework)
    app = module.FastAPI()
    seen: list[str] = []

    def inner() -> Any:
        yield "inner"
        seen.append("inner closed")

    def outer(inner: Annotated[str, module.Depends(inner, scope="function")]) -> Any:
        yield f"outer of {inner}"
        seen.append("outer closed")

    # With the scope "request" that would be refused: it would need what is closed before.
    def endpoint(outer: Annotated[str, module.Depends(outer, scope="unknown")]) -> str:
        return outer

    app.get("/")(endpoint)
    assert answered(app, "/")[0].body == b'"outer of inner"'
    assert seen == ["inner closed", "outer closed"]
