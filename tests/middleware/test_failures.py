"""Whatever fails behind middleware functions: the same answer, and the same exception to the same handlers."""

import sys
from pathlib import Path
from typing import Any

import fastapi.routing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from failures import FAILURES, IN_PLACE, MOMENTS, STREAMED, STREAMS, Answer, Case, ask
from layers import LAYERS

ONE, TWO, CATCHES, LIMITS = ("one",), ("one", "two"), ("catches",), ("limits",)
HANDLES, PURE_BETWEEN = ("handles", "one"), ("one", "pure", "two")
SERVER_ERRORS = ("error", "gone", "cancelled", "escaped", "async stop")
IN_THREADS = tuple(kind for kind, moments in MOMENTS.items() if "in place" in str(moments))


def _seen(case: Case, answer: Answer) -> Any:
    messages = answer.messages
    if case.kind in STREAMS and (case.failure != "nothing" or case.receive_fails or case.send_fails):
        # How many chunks are on their way when one of the tasks of a stream fails depends on which is first in a turn.
        messages = _without_chunks(messages)
    return messages, answer.raised, answer.log, answer.is_over


def _without_chunks(messages: list[Any]) -> list[Any]:
    start, *body = messages or [{}]
    headers = dict(start.get("headers", ()))
    if b"x-joined" in headers:
        headers.pop(b"content-length", None)
        body = [message | {"body": b""} for message in body]
    return [start | {"headers": headers}, *(message for message in body if not message.get("more_body"))]


FAILURES_BESIDE_AN_ANSWER = ("cancels itself", "escaped", "generator exit", "waits")
"""What may end a stream, and the request with it, while a function that has dropped it sends an answer of its own.

What of both is first within one turn of the event loop is not the same (docs/differences.md).
"""

SCOPELESS = {"pure", "gzip", "cors", "handles"}
"""Layers without a cancel scope."""


def leaves_scope_open(kind: str, moment: str, failure: str, stack: tuple[str, ...], spec_version: str) -> bool:
    """Tell whether FastAPI leaves a cancel scope open, so that a middleware function around it fails.

    See docs/differences.md, and test_worker_threads.py for what is seen here.
    """
    has_scope = kind in ("threads", "opened-sync") or (kind == "sync-stream" and spec_version == "2.4")
    return failure == "generator exit" and moment.endswith("in place") and has_scope and not SCOPELESS.issuperset(stack)


def assert_same(case: Case) -> None:
    # FastAPI keeps where an endpoint is by its address, which may be that of an earlier case's.
    fastapi.routing._endpoint_context_cache.clear()
    ours, theirs = (_seen(case, ask(framework, case)) for framework in ("ferroapi", "fastapi"))
    assert ours == theirs


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("stack", [ONE, TWO, CATCHES, HANDLES, PURE_BETWEEN, LIMITS], ids="-".join)
@pytest.mark.parametrize(
    ("kind", "failure", "moment"),
    [
        ("sse", "http exception", "first"),
        ("sse", "unhandled", "first"),
        ("sync-sse", "http exception", "first in place"),
        ("plain", "cancelled", "endpoint"),
        ("plain", "awaits a cancelled task", "endpoint"),
        ("plain", "escaped", "endpoint"),
        ("plain", "cancelled", "background"),
        ("plain", "awaits a cancelled task", "background"),
        ("plain", "escaped", "background"),
        ("stream", "unhandled", "first"),
    ],
)
def test_what_failed_in_public_is_met_as_under_fastapi(
    kind: str, failure: str, moment: str, stack: tuple[str, ...], spec_version: str
) -> None:
    assert_same(Case(kind, failure, moment, stack, spec_version=spec_version))


@pytest.mark.parametrize("kind", ["reads", "asks", "body", "stream"])
@pytest.mark.parametrize("stack", [ONE, TWO, CATCHES, HANDLES], ids="-".join)
@pytest.mark.parametrize("error", SERVER_ERRORS)
def test_what_receive_raises_is_met_as_under_fastapi(kind: str, stack: tuple[str, ...], error: str) -> None:
    assert_same(Case(kind, stack=stack, is_post=kind != "stream", receive_fails=(0, error)))


@pytest.mark.parametrize("is_warm", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("stack", [(), ONE, CATCHES, HANDLES, PURE_BETWEEN], ids="-".join)
@pytest.mark.parametrize("failure", ["cancelled", "escaped", "generator exit", "stop", "async stop"])
@pytest.mark.parametrize(
    ("kind", "moment"),
    [(kind, moment) for kind in IN_THREADS for moment in MOMENTS[kind] if moment.endswith("in place")],
)
def test_failure_in_a_worker_thread_is_met_as_under_fastapi(
    kind: str, moment: str, failure: str, stack: tuple[str, ...], is_warm: bool
) -> None:
    if leaves_scope_open(kind, moment, failure, stack, Case.spec_version):
        stack = tuple(name for name in stack if name in SCOPELESS)
    assert_same(Case(kind, failure, moment, stack, is_warm=is_warm))


@pytest.mark.parametrize("receive_turns", [0, 1, 2, 3])
@pytest.mark.parametrize("moment", STREAMED)
@pytest.mark.parametrize("failure", ["unhandled", "group"])
def test_two_failures_of_a_stream_are_grouped_in_order(failure: str, moment: str, receive_turns: int) -> None:
    case = Case("stream", failure, moment, (), receive_turns=receive_turns, receive_fails=(0, "error"))
    assert_same(case)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("stack", [(), ONE, TWO], ids="-".join)
@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("error", SERVER_ERRORS)
@pytest.mark.parametrize("kind", ["json-lines", "sse", "stream"])
def test_stream_whose_send_fails_ends_as_under_fastapi(
    kind: str, error: str, number: int, stack: tuple[str, ...], spec_version: str
) -> None:
    case = Case(kind, stack=stack, spec_version=spec_version, send_fails=(number, error))
    assert ask("ferroapi", case) == ask("fastapi", case)


@pytest.mark.parametrize("error", SERVER_ERRORS)
@pytest.mark.parametrize("stack", [(), ("pure",)], ids="-".join)
@pytest.mark.parametrize(("kind", "number"), [("stream", 0), ("slow-stream", 1)])
def test_receive_that_would_fail_as_the_stream_ends_is_called_off(
    kind: str, number: int, stack: tuple[str, ...], error: str
) -> None:
    case = Case(kind, stack=stack, receive_turns=number + 1, receive_fails=(number, error))
    assert_same(case)
    assert ask("ferroapi", case).raised is None


# A task group waits for a turn at its end: meanwhile a function further out ends its own answer.
@pytest.mark.parametrize("kind", ["stream", "json-lines", "raw-stream"])
@pytest.mark.parametrize("stack", [("drops",), ("drops", "one"), ("pure", "drops")], ids="-".join)
def test_stream_that_fails_cuts_off_no_answer_that_it_does_not_under_fastapi(kind: str, stack: tuple[str, ...]) -> None:
    case = Case(kind, "escaped", "first", stack, receive_turns=1, send_turns=1)
    assert_same(case)
    assert ask("ferroapi", case).log[-1] == "sent"


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("send_turns", [0, 1, 2])
@pytest.mark.parametrize("stack", [("drops",), ("one", "drops"), ("drops", "one")], ids="-".join)
@pytest.mark.parametrize("failure", FAILURES_BESIDE_AN_ANSWER)
@pytest.mark.parametrize(
    ("kind", "moment"), [("stream", "endpoint"), ("stream", "first"), ("slow-stream", "first"), ("sse", "middle")]
)
def test_answer_beside_a_dropped_stream_differs_by_what_is_sent_in_time(
    kind: str, moment: str, failure: str, stack: tuple[str, ...], send_turns: int, spec_version: str
) -> None:
    """A decided difference (docs/differences.md): how far the answer has come when the stream that was dropped ends."""
    case = Case(kind, failure, moment, stack, spec_version=spec_version, send_turns=send_turns)
    ours, theirs = ask("ferroapi", case), ask("fastapi", case)
    assert ours.raised == theirs.raised
    assert ours.is_over and theirs.is_over
    assert all(one == other for one, other in zip(ours.messages, theirs.messages, strict=False))


@pytest.mark.parametrize("receive_turns", [0, 1, 3])
@pytest.mark.parametrize("kind", ["file", "stream", "slow-stream"])
@pytest.mark.parametrize("stack", [ONE, TWO, PURE_BETWEEN], ids="-".join)
def test_nothing_is_raised_after_a_complete_answer(kind: str, stack: tuple[str, ...], receive_turns: int) -> None:
    case = Case(kind, stack=stack, receive_turns=receive_turns)
    assert_same(case)
    assert ask("ferroapi", case).raised is None


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("stack", [ONE, TWO, CATCHES, PURE_BETWEEN], ids="-".join)
@pytest.mark.parametrize(
    ("kind", "failure", "moment"),
    [
        # Nothing is waited for between the cancellation and the message.
        *((kind, "cancels itself", "endpoint") for kind in ("plain", "body", "response", "opened", "opened-sync")),
        ("opened", "cancels itself", "before yield"),
        # A task that was started in a dependency fails before the response starts.
        *(("grouped", failure, "child") for failure in ("unhandled", "http exception", "cancelled", "escaped")),
        # A stream is cancelled between two chunks.
        *(("stream", failure, moment) for failure in ("cancelled", "escaped") for moment in ("middle", "last")),
    ],
)
def test_cancellation_comes_before_the_next_message(
    kind: str, failure: str, moment: str, stack: tuple[str, ...], spec_version: str
) -> None:
    assert_same(Case(kind, failure, moment, stack, spec_version=spec_version))


@pytest.mark.parametrize(
    "case",
    [
        # The task of a function further out, which then answers itself while the others go on.
        *(
            Case(kind, "ends the middleware", stack=stack)
            for kind in ("plain", "response", "asks", "file", "stream", "opened")
            for stack in (
                *(("one", "moves_on"), ("one", "is_cancelled"), ("one", "two", "moves_on")),
                *(("times_out",), ("times_out", "one"), ("one", "times_out"), ("one", "times_out", "in_a_task")),
            )
        ),
        # What goes on answers in the turns in which the other end finds out that nobody listens.
        *(
            Case(kind, "waits", stack=("two", "moves_on"), ended_by="middleware")
            for kind in ("file", "stream", "plain")
        ),
        *(Case(kind, "cancels itself", stack=("class",)) for kind in ("file", "stream", "opened-stream")),
        # Code that runs after the response: what is downstream ends before.
        *(
            Case(kind, "cancels itself", "background of the middleware", ("adds_task",), send_turns=turns)
            for kind in ("opened", "opened-sync-endpoint")
            for turns in (0, 1)
        ),
        # What has called a worker thread before, and is about to call another.
        *(
            Case("sync", "ends the middleware", "background", stack, is_warm=is_warm)
            for stack in (("one", "is_cancelled"), ("one", "two", "is_cancelled"), ("adds_task", "pure", "moves_on"))
            for is_warm in (False, True)
        ),
    ],
    ids=lambda case: f"{case.kind}-{case.failure}-{'-'.join(case.stack)}",
)
def test_cancellation_of_a_function_further_out_comes_in_the_same_turn(case: Case) -> None:
    assert_same(case)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize(
    "kind", ["stream", "slow-stream", "handled-stream", "mounted-stream", "added-stream", "class-stream", "sse"]
)
@pytest.mark.parametrize("moment", STREAMED)
@pytest.mark.parametrize(
    "stack",
    [
        *(("moves_on",), ("one", "moves_on"), ("one", "times_out"), ("one", "is_cancelled")),
        # Whatever stands between the stream and the function around it.
        *(("pure", "moves_on"), ("pure", "one", "moves_on"), ("cors", "one", "times_out"), ("one", "pure", "moves_on")),
    ],
    ids="-".join,
)
def test_stream_that_ends_a_function_further_out_finds_it_where_it_would_be(
    kind: str, moment: str, stack: tuple[str, ...], spec_version: str
) -> None:
    assert_same(Case(kind, "ends the middleware", moment, stack, spec_version=spec_version))


@pytest.mark.parametrize("kind", ["stream", "slow-stream", "json-lines"])
@pytest.mark.parametrize("stack", [("joins",), ("drops",), ("reads", "joins")], ids="-".join)
@pytest.mark.parametrize("error", ["error", "cancelled"])
def test_receive_that_fails_after_the_answer_is_asked_as_often(kind: str, stack: tuple[str, ...], error: str) -> None:
    assert_same(Case(kind, stack=stack, chunks=3, receive_fails=(3, error)))


@pytest.mark.parametrize("kind", ["plain", "opened", "opened-sync", "stream"])
@pytest.mark.parametrize("moment", ["before next", "after next"])
@pytest.mark.parametrize("stack", [("meets",), ("one", "meets"), ("meets", "one")], ids="-".join)
def test_middleware_that_is_cancelled_gets_no_message(kind: str, moment: str, stack: tuple[str, ...]) -> None:
    assert_same(Case(kind, "cancels itself", moment, stack))


@pytest.mark.parametrize("stack", [("drops",), ("one", "drops"), ("drops", "one")], ids="-".join)
def test_stream_fails_while_its_disconnect_is_called_off(stack: tuple[str, ...]) -> None:
    assert_same(Case("raw-stream", "http exception", "first", stack, send_turns=1))


@pytest.mark.parametrize(
    ("kind", "failure"),
    [*(("response", failure) for failure in ("http exception", "handled", "unhandled")), ("invalid", "nothing")],
)
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("stack", [(), ("one",), ("pure", "two")], ids="-".join)
def test_send_that_fails_with_the_answer_to_an_error_shows_that_error(
    kind: str, failure: str, number: int, stack: tuple[str, ...]
) -> None:
    case = Case(kind, failure, stack=stack, send_fails=(number, "gone"))
    assert_same(case)
    assert stack or ask("fastapi", case).raised[-1] is not None


# What is drawn.


@st.composite
def cases(draw: st.DrawFn) -> Case:
    stack = tuple(draw(st.lists(st.sampled_from(sorted(LAYERS)), max_size=3, unique=True)))
    kind = draw(st.sampled_from(sorted(MOMENTS)))
    moments = [*MOMENTS[kind], *(["before next", "after next"] if "meets" in stack else [])]
    moments += ["background of the middleware"] if "adds_task" in stack else []
    moment = draw(st.sampled_from(moments))
    failures = {*(IN_PLACE if moment.endswith("in place") else FAILURES), "nothing"}
    spec_version = draw(st.sampled_from(("2.3", "2.4")))
    # Two tasks serve such a response: one streams, the other listens for the client to leave.
    is_listening = kind in (*STREAMS, "file") and spec_version == "2.3"
    if "drops" in stack and is_listening and kind.startswith("sync"):
        # How often a worker thread is asked for an item of a stream that nobody wants is a race.
        failures = {"nothing"}
    if "drops" in stack and kind in STREAMS:
        failures.difference_update(FAILURES_BESIDE_AN_ANSWER)
    chunks, receive_fails, send_fails = draw(st.integers(1, 3)), None, None
    if draw(st.sampled_from((False, False, True))):
        # While the body arrives, whether the stream has ended when a message fails is a race.
        first = chunks if is_listening and (kind == "file" or kind.startswith("sync")) else 0
        receive_fails = draw(st.none() | st.tuples(st.integers(first, 3), st.sampled_from(SERVER_ERRORS)))
        send_fails = draw(st.none() | st.tuples(st.integers(0, 3), st.sampled_from(SERVER_ERRORS)))
        if send_fails and moment.split()[0] in STREAMED:
            # A chunk is produced while the one before it is sent: whether it fails before that does is a race.
            failures = {"nothing"}
    failures -= {each for each in failures if leaves_scope_open(kind, moment, each, stack, spec_version)}
    # How much of a file a worker thread has read when the client leaves is a race.
    enders = ["nobody", "middleware", "server", *(() if kind == "file" else ("client",))]
    return Case(
        kind,
        draw(st.sampled_from(sorted(failures))),
        moment,
        stack,
        kind == "body" or draw(st.booleans()),
        spec_version,
        chunks,
        draw(st.sampled_from((0, 0, 1, 3))),
        receive_fails,
        draw(st.sampled_from((0, 0, 1, 2))),
        send_fails,
        draw(st.sampled_from(enders)),
        kind in IN_THREADS and draw(st.booleans()),
    )


# 166 by default, and 8,333 in a deep run.
# A coroutine that ignored a `GeneratorExit` may be collected later than in its own example.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(3600)
@settings(max_examples=settings().max_examples * 5 // 3)
@given(cases())
def test_failure_is_met_as_under_fastapi(case: Case) -> None:
    assert_same(case)
