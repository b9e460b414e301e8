"""Private names of other packages are used in the wings only; each use elsewhere is named here, with its reason.

A new one is a line here, so that somebody decides it: the package may drop it, or change what it means.
"""

import ast
import asyncio
import codecs
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pydantic
import pytest
import python_multipart
import starlette
from starlette.datastructures import FormData, Headers, QueryParams
from starlette.formparsers import MultiPartParser
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request

ROOT = Path(__file__).resolve().parents[2]
PACKAGE, EXTENSION = ROOT / "python" / "ferroapi", ROOT / "rust" / "core" / "src"
WINGS = ("_middleware/", "_models/", "_threads/", "server.py", "_beyond/testing/")

MODULES = {
    ("_compat/v2.py", "pydantic._internal"): "evaluates annotations as FastAPI does",
    ("_compat/v2.py", "pydantic._internal._typing_extra"): "the same",
    ("telemetry/_observation.py", "opentelemetry._logs"): "where OpenTelemetry publishes its logs",
    ("telemetry/_api.py", "opentelemetry._logs"): "where OpenTelemetry publishes its logs",
    ("telemetry/_runtime.py", "opentelemetry._logs"): "the same",
    ("telemetry/_runtime.py", "opentelemetry.sdk._logs"): "the same",
    ("telemetry/_runtime.py", "opentelemetry.sdk._logs.export"): "the same",
    ("telemetry/_runtime.py", "opentelemetry.exporter.otlp.proto.http._log_exporter"): "the same",
}
ATTRIBUTES = {
    ("_stack.py", "_exception_handlers"): "the layer itself says which handlers it has been given",
    ("_stack.py", "_status_handlers"): "the same",
    ("_engine/entrance.py", "_exception_handlers"): "a subclass of that layer",
    ("_engine/entrance.py", "_status_handlers"): "the same",
    ("_engine/whole_form.py", "_get_form"): "whether a request reads its form as Starlette's class does",
    ("_beyond/upload_stream.py", "_current_part"): "a subclass of Starlette's parser",
    ("_beyond/upload_stream.py", "_form"): "where a request keeps its form, for `form()`",
    ("_engine/whole_form.py", "_form"): "the same",
    ("_received.py", "_list"): "a subclass of Starlette's query, whose pairs are made when they are asked for",
    ("_received.py", "_dict"): "the same",
    ("_received.py", "_query_params"): "whether a request has made its query, which may have been edited since",
    ("_received.py", "_headers"): "the same of its headers",
    ("_received.py", "_cookies"): "where a request keeps its cookies",
    ("exceptions.py", "_body"): "how long the body is that was read; without the name none was",
    ("_body_limit.py", "_BODY_LIMIT_RESPONDER_SCOPE_KEY"): "Starlette's limit; an own one where there is none",
    ("_body_limit.py", "_RequestBodyLimitResponseSent"): "the same",
    ("_body_limit.py", "_RequestBodyTooLarge"): "the same",
    ("_compat/v2.py", "_attributes_set"): "FastAPI sets it",
    ("_compat/v2.py", "_config"): "a subclass of pydantic's generator",
    ("dependencies/_analyze.py", "_attributes_set"): "FastAPI sets it",
    (
        "_engine/sending.py",
        "_fut_waiter",
    ): "whether a task goes on in this turn, so that it is cancelled at once",
}
IN_RUST = {
    ("awaitable.rs", "_asyncio_future_blocking"): "the protocol between a task of asyncio and what it waits for",
    ("names.rs", "_asyncio"): "where the class of asyncio's own tasks is, whose methods nobody can replace",
    ("names.rs", "_current_tasks"): "how asyncio says which task runs, for steps that another task makes",
    ("names.rs", "_eager_tasks"): "how asyncio says which tasks there are, in which one that serves again is put",
    ("names.rs", "_register_task"): "the same",
    ("names.rs", "_unregister_task"): "the same",
    ("names.rs", "_enter_task"): "as of the task that runs",
    ("names.rs", "_leave_task"): "as of the task that runs",
    ("names.rs", "_get_running_loop"): "documented by asyncio for those who implement event loops",
    ("solve/as_sent.rs", "_query_params"): "whether somebody has made the query of a request, and may have edited it",
    ("solve/as_sent.rs", "_cookies"): "the same of its cookies",
    ("solve/as_sent.rs", "_headers"): "the same of its headers",
    ("solve/as_sent.rs", "_list"): "the pairs of these headers",
    ("solve/received.rs", "_body"): "what `body()` of a `Request` returns that is made when the body is read",
    ("solve/received.rs", "_form"): "the same of `form()`",
    ("solve/received.rs", "_json"): "the same of `json()`",
    ("solve/received.rs", "_stream_consumed"): "why its `stream()` waits for nothing more",
    ("serialize/sink.rs", "_sa"): "how the keys begin that SQLAlchemy adds to an object, which FastAPI leaves out",
    ("teardown.rs", "_exit_callbacks"): "whether an exit stack has to be left; without the name each is",
}
OF_NAMED_TUPLES = {"_replace", "_asdict"}
BY_NAME = {"getattr", "hasattr", "setattr"}

TREES = {str(file.relative_to(PACKAGE)): ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _imported(tree: ast.AST) -> set[str]:
    """Return the modules of other packages that a module imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names if _is_private(each.name))}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return {each for each in found if each.partition(".")[0] not in ("ferroapi", "_ferroapi_alias")}


def _defined(tree: ast.AST) -> set[str]:
    """Return the names that a module defines, that its methods set in `self`, and that it sets past a frozen class."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
            case ast.Attribute(ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
                found.add(node.attr)
            case ast.Call(func=ast.Attribute(attr="__setattr__"), args=[_, ast.Constant(value=str(name)), _]):
                found.add(name)
    return found


OWN = set[str]().union(*map(_defined, TREES.values()))
PACKAGES = (starlette, pydantic, python_multipart)
THEIRS = set[str]().union(
    *(_defined(ast.parse(file.read_text())) for each in PACKAGES for file in Path(each.__path__[0]).rglob("*.py"))
)
ALSO_OURS = {"_scope", "_receive", "_send", "_handlers", "_exceptions"}
"""What objects of this package have, too, and objects of others are not asked for."""


def _asked(node: ast.AST) -> str | None:
    """Return the name of an attribute that an expression reads or writes, if it is likely to be of another package."""
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
            return None if name in OWN else name
        case ast.Attribute(attr=name):
            return name if name not in OWN or name in THEIRS - ALSO_OURS else None
        case ast.Call(func=ast.Name(id=function), args=[_, ast.Constant(value=str(name)), *_]) if function in BY_NAME:
            return name if name not in OWN or name in THEIRS - ALSO_OURS else None
    return None


def _uses() -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    modules, attributes = set(), set()
    for name, tree in TREES.items():
        if name.startswith(WINGS):
            continue
        modules |= {(name, each) for each in _imported(tree) if any(map(_is_private, each.split(".")))}
        for node in ast.walk(tree):
            if (asked := _asked(node)) and _is_private(asked) and asked not in OF_NAMED_TUPLES:
                attributes.add((name, asked))
    return modules, attributes


@pytest.mark.parametrize(
    ("used", "listed"), list(zip(_uses(), (MODULES, ATTRIBUTES), strict=True)), ids=["modules", "attributes"]
)
def test_private_names_of_other_packages_are_those_that_are_listed(
    used: set[tuple[str, str]], listed: dict[tuple[str, str], str]
) -> None:
    assert used == listed.keys()


def test_private_names_in_rust_are_those_that_are_listed() -> None:
    found = {
        (str(file.relative_to(EXTENSION)), name)
        for file in EXTENSION.rglob("*.rs")
        if "wings" not in file.parts
        for name in re.findall(r'"(_[a-z]\w+)"', file.read_text(encoding="utf-8"))
        if name not in OWN or name in THEIRS - ALSO_OURS
    }
    assert found == IN_RUST.keys()


# What each is taken to mean. Where a package changes that, its name goes on existing.


def _request(*headers: tuple[bytes, bytes]) -> Any:
    scope = {"type": "http", "query_string": b"a=1&a=2", "headers": list(headers)}
    return Request(scope)  # Without `receive`: reading anything raises.


def test_a_request_returns_what_it_is_said_to_have_read() -> None:
    async def read() -> tuple[Any, ...]:
        request, form = _request(), FormData()
        request._body, request._stream_consumed, request._json = b"[1]", True, {"one": 1}
        streamed = b"".join([piece async for piece in request.stream()])
        other = _request()
        assert other._form is None
        other._form, other._stream_consumed = form, True
        return streamed, await request.body(), await request.json(), await other.form() is form

    assert asyncio.run(read()) == (b"[1]", b"[1]", {"one": 1}, True)


def test_a_request_keeps_what_it_has_made_of_its_scope() -> None:
    request = _request((b"cookie", b"a=1"))
    assert not any(hasattr(request, name) for name in ("_query_params", "_headers", "_cookies", "_body"))
    assert (request.query_params, request.headers) == (request._query_params, request._headers)
    assert request.headers._list == [(b"cookie", b"a=1")]
    request._cookies = {"b": "2"}
    assert request.cookies == {"b": "2"}


def test_a_query_has_its_pairs_and_the_last_value_of_each_name() -> None:
    query: Any = QueryParams("a=1&a=2")
    assert (query._list, query._dict) == ([("a", "1"), ("a", "2")], {"a": "2"})


def test_an_exit_stack_without_callbacks_has_nothing_to_leave() -> None:
    stack: Any = AsyncExitStack()
    assert not stack._exit_callbacks
    stack.callback(print)
    assert stack._exit_callbacks


def test_a_layer_has_the_handlers_that_it_was_given() -> None:
    app: Any = object()
    handler: Any = object()
    layer: Any = ExceptionMiddleware(app, {404: handler, KeyError: handler})
    assert layer._status_handlers == {404: handler}
    assert layer._exception_handlers[KeyError] is handler


def test_a_parser_has_the_part_and_the_charset_that_it_is_at() -> None:
    seen: list[Any] = []

    class Seeing(MultiPartParser):
        def on_headers_finished(self) -> None:
            super().on_headers_finished()
            seen.append((self._current_part.field_name, self._current_part.file, self._charset))

    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'

    headers = Headers({"content-type": "multipart/form-data; boundary=x; charset=latin-1"})
    form = asyncio.run(Seeing(headers, body()).parse())  # type: ignore[arg-type]
    # Before 1.8 Starlette leaves a charset as the client wrote it.
    ((name, file, charset),) = seen
    assert (name, file, codecs.lookup(charset).name, form["a"]) == ("a", None, "iso8859-1", "1")
