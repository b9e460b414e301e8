"""Where the application's code runs, beside FastAPI's: thread, task, context, number and order of all that records.

Applications are drawn in `recorded`: validators, factories, classes, dependencies, serializers, encoders and iterations
stand anywhere. Requests are repeated, since the engine calls threads differently once calls have been short.
"""

import asyncio
import importlib
import threading
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.convertors import CONVERTOR_TYPES, Convertor

from .drawn import Built, Request, run
from .recorded import Answer, Builder, Drawn, Need, Node, Recorder, Value, declared, serve

HOWS = (
    *("plain", "text", "before", "after", "wrap", "only", "inner", "own", "enum", "factory", "default validated"),
    *("copied", "list", "model"),
)
DEPENDENCIES = (
    *("def", "async def", "generator", "async generator", "class", "object", "partial", "wrapped def"),
    *("wrapped async def", "wrapped generator", "wrapped async generator"),
)
ENDPOINTS = ("def", "async def", "object", "partial", "wrapped def", "wrapped async def")
BODIES = ("silent", "validated", "made", "initialized", "opened")
MODELS = ("silent", "validated", "written", "both", "choice", "generic", "anything")
RESULTS = (
    *("dict", "texts", "refused", "instance", "attributes", "liar", "pairs", "mapping", "generator", "list", "encoded"),
    *("none", "response", "json response"),
)
OPTIONS: tuple[tuple[tuple[str, Any], ...], ...] = (
    (),
    (("response_model_exclude_unset", True),),
    (("response_model_exclude_none", True),),
    (("status_code", 201),),
)
SURROUNDINGS = (
    *("native", "native", "native", "router", "handler mode", "reference", "middleware function", "middleware class"),
)


@st.composite
def values(draw: st.DrawFn) -> Value:
    how = draw(st.sampled_from(HOWS))
    sources = {"model": ("query",), "list": ("query", "header"), "copied": ("query", "header", "cookie")}
    source = draw(st.sampled_from(sources.get(how, ("query", "header", "cookie", "path"))))
    if how in ("factory", "default validated") and source == "path":
        source = "query"
    sent = draw(st.sampled_from(("1", "1", "1", None, "bad")))
    return Value(how, source, "1" if source == "path" and sent is None else sent)


@st.composite
def nodes(draw: st.DrawFn, kinds: tuple[str, ...], below: int) -> Node:
    needs = st.builds(Need, st.integers(0, max(below - 1, 0)), st.sampled_from((True, True, False)))
    return Node(
        draw(st.sampled_from(kinds)),
        tuple(draw(st.lists(values(), max_size=2))),
        tuple(draw(st.lists(needs, max_size=3))) if below else (),
        draw(st.sampled_from(("", "", *BODIES))),
    )


answers = st.builds(
    Answer,
    st.sampled_from(("nothing", *MODELS)),
    st.sampled_from(RESULTS),
    st.sampled_from(OPTIONS),
    st.sampled_from((False, False, True)),
)


@st.composite
def applications(draw: st.DrawFn) -> Drawn:
    count = draw(st.integers(0, 4))
    return Drawn(
        draw(nodes(ENDPOINTS, count)),
        tuple(draw(nodes(DEPENDENCIES, index)) for index in range(count)),
        draw(answers),
        draw(st.sampled_from((None, "function"))),
        draw(st.sampled_from(SURROUNDINGS)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from((1, 2, 6))),
    )


def compare(drawn: Drawn) -> list[Any]:
    """Assert that every request of an application is the same under both frameworks, and return what was recorded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with asyncio.Runner() as runner:
            theirs, ours = (runner.run(serve(framework, drawn)) for framework in ("fastapi", "ferroapi"))
    for expected, found in zip(theirs, ours, strict=True):
        assert found.log == expected.log
        assert found == expected
    return theirs


def share(number: int, of: int) -> settings:
    """A part of the profile's examples."""
    return settings(max_examples=settings().max_examples * number // of)


# 166 by default, and 8,333 in a deep run.
@pytest.mark.timeout(3600)
@share(5, of=3)
@given(applications())
def test_code_runs_where_it_runs_under_fastapi(drawn: Drawn) -> None:
    compare(drawn)


# What no text of a request can be, and what is drawn too seldom.

ONE = Value("after", "query", "1")
PLAIN = Node("def")


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", ["def", "generator", "wrapped generator"])
def test_a_parameter_between_two_calls_in_threads(kind: str, how: str) -> None:
    source = "query" if how != "list" else "header"
    drawn = Drawn(Node("def", (Value(how, source, "1"),), (Need(0, True), Need(1, True))), (Node(kind), PLAIN))
    assert compare(drawn)[0].status == 200


def test_parameters_of_a_shared_dependency_are_validated_at_each_occurrence() -> None:
    below = (
        Node("async def", (ONE,)),
        Node("async def", (), (Need(0, True),)),
        Node("async def", (), (Need(1, True),)),
    )
    seen = compare(Drawn(Node("async def", (), (Need(0, True), Need(1, True), Need(2, True))), below))[0].log
    assert [label for label, *_ in seen[:-2]].count("dependency_0_query_0") == 3
    assert [label for label, *_ in seen[:-2]].count("dependency_0") == 1


@pytest.mark.parametrize("returned", RESULTS)
@pytest.mark.parametrize("declared", ["nothing", *MODELS])
def test_a_result_of_a_def_endpoint(declared: str, returned: str) -> None:
    compare(Drawn(PLAIN, answer=Answer(declared, returned), number_of_requests=2))


def test_what_is_recorded_is_in_both_places() -> None:
    """What is compared above is not the same everywhere."""
    drawn = Drawn(Node("def", (ONE,), (Need(0, True),)), (PLAIN,), Answer("both", "dict"))
    entries = [entry for entry in compare(drawn)[0].log if isinstance(entry, tuple) and len(entry) == 3][:-1]
    assert [(label, place, seen) for label, place, seen in entries] == [
        ("dependency_0", "worker", "request 0"),
        ("endpoint_query_0", "task 0", "request 0"),
        ("endpoint", "worker", "endpoint_query_0"),
        ("answer field", "worker", "endpoint_query_0"),
        ("answer written", "task 0", "endpoint_query_0"),
        ("answer computed", "task 0", "answer written"),
    ]


def streaming(framework: str, kind: str, is_async: bool) -> tuple[Any, Recorder]:
    """An application whose stream's items are validated and written by code that records."""
    fastapi, recorder = importlib.import_module(framework), Recorder()
    app = fastapi.FastAPI(openapi_url=None)
    model = declared(recorder, "both")

    def items() -> Iterator[Any]:
        for number in range(2):
            recorder.note("item")
            yield {"a": number}

    async def async_items() -> AsyncIterator[Any]:
        for item in items():
            yield item

    endpoint = async_items if is_async else items
    endpoint.__annotations__["return"] = (AsyncIterable if is_async else Iterable)[model]  # type: ignore[index]
    options = {}
    if kind == "events":
        options["response_class"] = importlib.import_module(f"{framework}.sse").EventSourceResponse
    app.add_api_route("/", endpoint, **options)
    return app, recorder


RECORDED = ["item", "answer field", "answer written", "answer computed"]


@pytest.mark.parametrize("kind", ["lines", "events"])
@pytest.mark.parametrize("is_async", [False, True], ids=["def", "async def"])
def test_an_item_of_a_stream(kind: str, is_async: bool) -> None:
    found = {}
    for framework in ("fastapi", "ferroapi"):
        app, recorder = streaming(framework, kind, is_async)
        outcome = asyncio.run(run(Built(app, recorder.log, app), Request("GET", "/")))
        # Sending goes its own way beside the producer of events.
        entries = [
            entry for entry in outcome.log if isinstance(entry, tuple) and len(entry) == 3 and entry[0] != "body"
        ]
        found[framework] = (outcome.status, outcome.body, entries)
    assert found["ferroapi"] == found["fastapi"]
    assert [name for name, *_ in found["fastapi"][2]] == RECORDED * 2


def socket_application(framework: str, kind: str) -> Built:
    """An application with a websocket whose endpoint depends on a parameter that is validated between two calls."""
    fastapi = importlib.import_module(framework)
    builder = Builder(framework, Drawn(PLAIN, (Node(kind), Node("def", (ONE,), (Need(0, True),)))))
    needed = Annotated[Any, fastapi.Depends(builder.dependency(1))]
    app = fastapi.FastAPI(openapi_url=None)

    @app.websocket("/")
    async def endpoint(socket: fastapi.WebSocket, needed: needed, again: needed) -> None:  # type: ignore[name-defined, valid-type]
        builder.recorder.note("endpoint")
        await socket.accept()
        await socket.close()

    return Built(app, builder.recorder.log, app)


@pytest.mark.parametrize("kind", DEPENDENCIES)
def test_a_parameter_of_a_socket(kind: str) -> None:
    found = {}
    request = Request("WEBSOCKET", "/", b"dependency_1_query_0=1", (), ())
    for framework in ("fastapi", "ferroapi"):
        built = socket_application(framework, kind)
        found[framework] = [asyncio.run(run(built, request)).log for _ in range(3)]
    assert found["ferroapi"] == found["fastapi"]
    assert "endpoint" in str(found["fastapi"])


class Odd:
    """What says to which thread it is asked for a number."""

    log: ClassVar[list[str]] = []

    def __index__(self) -> int:
        self.log.append("worker" if threading.current_thread() is not threading.main_thread() else "loop")
        return 1

    __int__ = __index__


class OddConvertor(Convertor[Odd]):
    regex = "[a-z]+"

    def convert(self, value: str) -> Odd:
        return Odd()

    def to_string(self, value: Odd) -> str:
        return "odd"


def odd_application(framework: str, kind: str) -> Any:
    """An application in which plain validators are given an object that runs code."""
    fastapi = importlib.import_module(framework)
    routing = importlib.import_module(f"{framework}.routing")

    class OddRequest(fastapi.Request):  # type: ignore[misc, name-defined]
        async def json(self) -> Any:
            return {"number": Odd()}

    class OddRoute(routing.APIRoute):  # type: ignore[misc, name-defined]
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def wrapped(request: Any) -> Any:
                return await handler(OddRequest(request.scope, request.receive))

            return wrapped

    app = fastapi.FastAPI(openapi_url=None)
    if kind == "request":
        app.router.route_class = OddRoute

    def first() -> None:
        pass

    def again(number: Annotated[float, fastapi.Body(embed=True) if kind == "request" else fastapi.Path()]) -> None:
        pass

    @app.post("/{number:odd}" if kind == "path" else "/odd")
    def endpoint(
        first: Annotated[None, fastapi.Depends(first)],
        again: Annotated[None, fastapi.Depends(again)],
        once_more: Annotated[None, fastapi.Depends(again)],
    ) -> None:
        pass

    return app


@pytest.mark.parametrize("kind", ["path", "request"])
def test_objects_that_are_no_texts_are_validated_on_the_event_loop(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONVERTOR_TYPES, "odd", OddConvertor())
    found = {}
    for framework in ("fastapi", "ferroapi"):
        app = odd_application(framework, kind)
        Odd.log.clear()
        request = Request("POST", "/odd", b"", ((b"content-type", b"application/json"),), (b"{}",))
        outcome = asyncio.run(run(Built(app, [], app), request))
        found[framework] = (outcome.status, outcome.body, list(Odd.log))
    assert found["ferroapi"] == found["fastapi"]
    assert found["fastapi"][2] == ["loop", "loop"]
