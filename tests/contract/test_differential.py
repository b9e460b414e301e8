"""The same applications and requests under FastAPI and under each of ferroapi's ways to run them: everything is equal.

Applications and requests are drawn by `strategies`. The reference is the real `fastapi`.
"""

import asyncio
import functools
import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated, Any

import fastapi.routing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ferroapi
import ferroapi.dependencies.utils
import ferroapi.routing
from ferroapi import _core
from ferroapi._routing.entries import plan_of
from ferroapi._witness import Part

from .drawn import (
    Application,
    Built,
    Dependence,
    Function,
    Operation,
    Outcome,
    Parameter,
    PassThrough,
    Request,
    Special,
    run,
)
from .drawn.build import Builder
from .strategies import applications, requests

FRAMEWORKS = ("fastapi", "ferroapi")

WARM_UP = Request("GET", "/a/path/that/no/application/has")
"""Builds the middleware stack. The native path begins with the second request."""


class WrappedRoute(ferroapi.routing.APIRoute):
    """A route whose handler is wrapped, as packages do it: it runs in handler mode."""

    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def wrapped(request: Any) -> Any:
            return await handler(request)

        return wrapped


@contextmanager
def wrapped_solver(module: Any, note: Callable[[Any], None] = lambda solved: None) -> Iterator[None]:
    """Replace a patch point by a wrapper that does the same, and notes what it returns.

    In `routing` the wrapper is called by a route, and what it calls is the engine's solver; in `dependencies.utils` it
    is called for each dependency, and they are solved in Python.
    """
    original = module.solve_dependencies

    @functools.wraps(original)
    async def wrapper(**keywords: Any) -> Any:
        solved = await original(**keywords)
        note(solved)
        return solved

    module.solve_dependencies = wrapper
    try:
        yield
    finally:
        module.solve_dependencies = original


def noted_solver(framework: str, built: Built) -> AbstractContextManager[None]:
    """Replace the solver by a wrapper that writes what it returns to the application's log."""

    def note(solved: Any) -> None:
        response, cache = solved.response, solved.dependency_cache
        built.log.append(
            (
                "solved",
                [(name, type(value).__name__) for name, value in solved.values.items()],
                [(error["type"], error["loc"], error["msg"]) for error in solved.errors],
                type(solved.background_tasks).__name__,
                (type(response).__name__, response.status_code, list(response.headers.raw)),
                [(*key[1:], type(value).__name__) for key, value in cache.items()],
            )
        )

    return wrapped_solver(importlib.import_module(f"{framework}.routing"), note)


def build(framework: str, description: Application, *, telemetry: Any = None, **options: Any) -> Built | str:
    """Build an application; the error's text if the framework refuses it."""
    # It is by identity, and functions of earlier examples are gone.
    fastapi.routing._endpoint_context_cache.clear()
    builder = Builder(framework, description, **({} if telemetry is None else {"telemetry": telemetry}))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return builder.build(**options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def build_behind_middleware(description: Application) -> Built | str:
    built = build("ferroapi", description)
    if isinstance(built, Built):
        built.app.add_middleware(PassThrough)
    return built


async def answers(built: Built, wanted: list[Request]) -> list[Any]:
    """The outcomes of requests, one behind the other, after the warm-up."""
    await run(built, WARM_UP)
    return [await run(built, request) for request in wanted]


def openapi_text(built: Built) -> str:
    """The OpenAPI document as it is served, or the error that making it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return repr(built.operations.openapi())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def compare(description: Application, wanted: list[Request]) -> None:
    """Assert that every way to run an application gives FastAPI's outcome for each request."""
    reference = build("fastapi", description)
    variants = {
        "native": build("ferroapi", description),
        "handler mode": build("ferroapi", description, route_class=WrappedRoute),
        "behind middleware": build_behind_middleware(description),
        "python": build("ferroapi", description),
    }
    if isinstance(reference, str):
        assert variants == dict.fromkeys(variants, reference)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with asyncio.Runner() as runner:
            expected = runner.run(answers(reference, wanted))
            for name, built in variants.items():
                assert isinstance(built, Built), f"{name}: {built}"
                with wrapped_solver(ferroapi.dependencies.utils) if name == "python" else nullcontext():
                    found = runner.run(answers(built, wanted))
                assert_equal_outcomes(wanted, expected, found, name)
            noted = []
            for framework in FRAMEWORKS:
                again = build(framework, description)
                assert isinstance(again, Built)
                with noted_solver(framework, again):
                    noted.append(runner.run(answers(again, wanted)))
            assert_equal_outcomes(wanted, *noted, "solved by name")
    assert openapi_text(variants["native"]) == openapi_text(reference)  # type: ignore[arg-type]


def assert_equal_outcomes(wanted: list[Request], expected: list[Any], found: list[Any], name: str) -> None:
    for request, theirs, ours in zip(wanted, expected, found, strict=True):
        assert_equal_outcome(theirs, ours, f"{name}: {request}")


_FAILURES_BY_INPUT = ("UnicodeEncodeError", "UnicodeDecodeError", "Out of range float values")


def is_failure_by_input(outcome: Outcome) -> bool:
    """Whether an error list could not be rendered because JSON cannot say its input; a handler may have taken that."""
    seen = [outcome.raised, *(entry for entry in outcome.log if entry[0] in ("handler", "sync handler"))]
    return any(failure in str(entry) for failure in _FAILURES_BY_INPUT for entry in seen)


def assert_equal_outcome(theirs: Outcome, ours: Outcome, where: str = "") -> None:
    if is_failure_by_input(theirs) and not is_failure_by_input(ours):
        # Decided difference: input never causes a 5xx by itself. A path with another slash is redirected.
        assert ours.raised is None, where
        assert ours.status in (307, 422), where
        return
    assert ours.raised == theirs.raised, where
    assert (ours.status, ours.headers, ours.body) == (theirs.status, theirs.headers, theirs.body), where
    assert ours.log == theirs.log, where


def reasons(built: Built) -> list[str]:
    """For each operation of an application the reason why it is not native, empty if it is."""
    routes = [*built.operations.router._current_table().entries]
    return [plan_of(entry.candidate)[1] for entry in routes if entry.compile is not None]


NATIVE = Application((Operation("/{p}", "POST", Function("endpoint", "sync", (Parameter("p", "path", "int"),))),))


def test_variants_are_what_they_say() -> None:
    """The plain variant is native, and the two that are asked to stand aside do so."""
    native, handler = build("ferroapi", NATIVE), build("ferroapi", NATIVE, route_class=WrappedRoute)
    assert isinstance(native, Built)
    assert isinstance(handler, Built)
    assert reasons(native) == [""]
    assert "get_route_handler" in reasons(handler)[0]
    assert not _core.is_replaced(Part.STEP)
    with wrapped_solver(ferroapi.routing):
        assert _core.is_replaced(Part.STEP)
        assert not _core.is_replaced(Part.OPERATION)
    with wrapped_solver(ferroapi.dependencies.utils):
        assert _core.is_replaced(Part.OPERATION)


@given(applications("simple"))
def test_simple_applications_are_native(description: Application) -> None:
    """What is compared below is the native path."""
    built = build("ferroapi", description)
    assert isinstance(built, Built)
    assert set(reasons(built)) <= {""}


@st.composite
def conversations(draw: st.DrawFn, *features: str) -> tuple[Application, list[Request]]:
    description = draw(applications(*features))
    return description, draw(st.lists(requests(description), min_size=2, max_size=6))


def share(number: int, of: int) -> settings:
    """A part of the profile's examples: each example builds five applications."""
    return settings(max_examples=settings().max_examples * number // of)


# Together 1.9 times the profile's number of examples: 190, and 5,700 in a deep run, which takes minutes.
@pytest.mark.timeout(3600)
@share(1, of=4)
@given(conversations("simple"))
def test_simple_applications_answer_as_under_fastapi(conversation: tuple[Application, list[Request]]) -> None:
    compare(*conversation)


@pytest.mark.timeout(3600)
@share(3, of=5)
@given(conversations())
def test_applications_answer_as_under_fastapi(conversation: tuple[Application, list[Request]]) -> None:
    compare(*conversation)


@pytest.mark.timeout(3600)
@share(1, of=4)
@given(conversations("files"))
def test_forms_with_files_answer_as_under_fastapi(conversation: tuple[Application, list[Request]]) -> None:
    compare(*conversation)


@pytest.mark.timeout(3600)
@share(1, of=5)
@given(conversations("streams"))
def test_streams_answer_as_under_fastapi(conversation: tuple[Application, list[Request]]) -> None:
    compare(*conversation)


@pytest.mark.timeout(3600)
@share(1, of=5)
@given(conversations("sockets"))
def test_sockets_answer_as_under_fastapi(conversation: tuple[Application, list[Request]]) -> None:
    compare(*conversation)


@pytest.mark.timeout(3600)
@share(1, of=5)
@given(conversations("surroundings"))
def test_middleware_and_limits_answer_as_under_fastapi(conversation: tuple[Application, list[Request]]) -> None:
    compare(*conversation)


@pytest.mark.timeout(3600)
@share(1, of=5)
@given(conversations("files", "streams", "surroundings"))
def test_all_of_it_at_once_answers_as_under_fastapi(conversation: tuple[Application, list[Request]]) -> None:
    compare(*conversation)


# Found by the tests above, each in its smallest form.


def one(endpoint: Function, path: str = "/", method: str = "GET", **options: Any) -> Application:
    return Application((Operation(path, method, endpoint, tuple(options.items())),))


def test_text_parameter_gets_the_error_of_what_a_convertor_made() -> None:
    """`{p:int}` makes an `int`, which a parameter declared as `str` refuses."""
    endpoint = Function("endpoint", "async", (Parameter("p", "path", "str"),))
    compare(one(endpoint, "/{p:int}"), [Request("GET", "/1")])


def test_background_tasks_are_given_and_run() -> None:
    endpoint = Function("endpoint", "async", (Special("the_background", "background"),))
    compare(one(endpoint), [Request("GET", "/")])


def test_a_request_shows_the_scope_that_fastapi_shows() -> None:
    """The exit stacks and exception handlers are in the scope of native requests too, where code can see them."""
    endpoint = Function("endpoint", "async", (Special("the_request", "request"),))
    compare(one(endpoint), [Request("GET", "/")])


def test_files_are_open_while_a_refusal_is_answered() -> None:
    """Below a wrapped handler, too: the answer shows what is in the file."""
    endpoint = Function("endpoint", "async", (Parameter("a", "form", "list of colors"),))
    body = b'--x\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n\r\n--x--\r\n'
    headers = ((b"content-type", b"multipart/form-data; boundary=x"),)
    compare(one(endpoint, method="POST"), [Request("POST", "/", b"", headers, (body,))])


def test_of_two_dependencies_that_cannot_be_the_later_is_reported() -> None:
    inner = Function("dependency_0", "generator")
    outer = [
        Function(f"dependency_{number}", "generator", (Dependence("needs", 0, scope="function"),)) for number in (1, 2)
    ]
    operation = Operation("/", "GET", Function("endpoint", "async"), dependencies=(1, 2))
    description = Application((operation,), (inner, *outer))
    refused = build("ferroapi", description)
    assert "dependency_2" in str(refused)
    assert refused == build("fastapi", description)


@pytest.mark.parametrize("path", ["/failing", "/upload", "/nowhere"])
def test_an_endpoint_may_call_the_router_again(path: str) -> None:
    """As batch endpoints do: exception handlers and exit stacks of the outer request serve the inner one."""

    def batch_application(framework: str) -> Built:
        fastapi = importlib.import_module(framework)
        log: list[Any] = []
        app = fastapi.FastAPI(openapi_url=None)

        @app.get("/failing")
        async def failing() -> None:
            raise fastapi.HTTPException(404, "by the inner endpoint")

        @app.get("/upload")
        async def upload(file: Annotated[fastapi.UploadFile | None, fastapi.File()] = None) -> bool:
            return file is None

        @app.get("/batch")
        async def batch(request: fastapi.Request, path: str) -> None:
            async def send(message: Any) -> None:
                log.append((message.get("status"), message.get("body")))

            scope = {**request.scope, "path": path, "raw_path": path.encode()}
            try:
                await request.app.router(scope, request.receive, send)
            except Exception as error:
                log.append(repr(error))

        return Built(app, log, app)

    request = Request("GET", "/batch", b"path=" + path.encode())
    theirs, ours = (asyncio.run(answers(batch_application(framework), [request])) for framework in FRAMEWORKS)
    assert_equal_outcome(theirs[0], ours[0])
