"""Whatever fails behind middleware functions: the same answer, and the same exception to the same handlers."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from failures import FAILURES, IN_PLACE, MOMENTS, STREAMED, STREAMS, Answer, Case, ask
from layers import LAYERS

ONE, TWO, CATCHES, LIMITS = ("one",), ("one", "two"), ("catches",), ("limits",)
HANDLES, PURE_BETWEEN = ("handles", "one"), ("one", "pure", "two")

ESCAPES = ("cancelled", "escaped", "awaits a cancelled task", "cancels itself", "cancels itself and waits")
"""Failures that no `except Exception` sees."""


def _seen(case: Case, answer: Answer) -> Any:
    messages, log = answer.messages, answer.log
    if case.kind in STREAMS:
        # What the middleware does beside the generator depends on the turns of the event loop.
        log = sorted(map(repr, log))
        is_interrupted = case.failure != "nothing" or case.receive_fails or case.send_fails
        # And so does how many chunks are on their way when one of the two fails ...
        messages = _without_chunks(messages) if is_interrupted else messages
        if case.moment.split()[0] in STREAMED and case.failure in ESCAPES and messages[0].get("status", 200) == 200:
            # ... and, where that cancels the middleware, whether the start and the end are sent.
            messages, log = [], [event for event in log if event not in ("'started'", "'sent'")]
    return messages, answer.raised, log, answer.is_over


def _without_chunks(messages: list[Any]) -> list[Any]:
    start, *body = messages or [{}]
    headers = dict(start.get("headers", ()))
    if b"x-joined" in headers:
        headers.pop(b"content-length", None)
        body = [message | {"body": b""} for message in body]
    return [start | {"headers": headers}, *(message for message in body if not message.get("more_body"))]


def assert_same(case: Case) -> None:
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
@pytest.mark.parametrize("error", ["error", "gone", "cancelled", "escaped"])
def test_what_receive_raises_is_met_as_under_fastapi(kind: str, stack: tuple[str, ...], error: str) -> None:
    assert_same(Case(kind, stack=stack, is_post=kind != "stream", receive_fails=(0, error)))


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


@pytest.mark.parametrize("kind", ["plain", "opened", "opened-sync", "stream"])
@pytest.mark.parametrize("moment", ["before next", "after next"])
@pytest.mark.parametrize("stack", [("meets",), ("one", "meets"), ("meets", "one")], ids="-".join)
def test_middleware_that_is_cancelled_gets_no_message(kind: str, moment: str, stack: tuple[str, ...]) -> None:
    assert_same(Case(kind, "cancels itself", moment, stack))


@pytest.mark.parametrize("stack", [("drops",), ("one", "drops"), ("drops", "one")], ids="-".join)
def test_stream_fails_while_its_disconnect_is_called_off(stack: tuple[str, ...]) -> None:
    assert_same(Case("raw-stream", "unhandled", "first", stack, send_turns=1))


@pytest.mark.parametrize("failure", ["http exception", "handled", "unhandled"])
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("stack", [(), ("one",)])
def test_send_that_fails_with_the_answer_to_an_error_shows_that_error(
    failure: str, number: int, stack: tuple[str, ...]
) -> None:
    assert_same(Case("response", failure, stack=stack, send_fails=(number, "gone")))


# What is drawn.

SERVER_ERRORS = ("error", "gone", "cancelled", "escaped")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    server_fails = draw(st.sampled_from((False, False, True)))
    stack = tuple(draw(st.lists(st.sampled_from(sorted(LAYERS)), max_size=3, unique=True)))
    spec_version = draw(st.sampled_from(("2.3", "2.4")))
    kinds = set(MOMENTS)
    if "drops" in stack and spec_version == "2.3":
        # The stream that nobody wants goes on until it is told so: how far it comes is nobody's promise.
        kinds -= {*STREAMS, "file"}
    kind = draw(st.sampled_from(sorted(kinds)))
    moments = [*MOMENTS[kind], *(["before next", "after next"] if "meets" in stack else [])]
    moments += ["background of the middleware"] if "adds_task" in stack else []
    moment = draw(st.sampled_from(moments))
    failures = {*(IN_PLACE if moment.endswith("in place") else FAILURES), "nothing"}
    if kind in (*STREAMS, "file") and moment in ("endpoint", "before yield") and spec_version == "2.3":
        # Which of the two tasks is first that such a response begins in is nobody's promise.
        failures -= {"cancels itself"}
    if stack[:1] not in (("moves_on",), ("is_cancelled",)) or moment in STREAMED:
        # Not compared: code that cancels a task further out and does not wait. What is between them sees it in another
        # turn of the event loop than under FastAPI; so does middleware whose timeout is over, or beside a generator.
        failures -= {"ends the middleware"}
    if moment == "background of the middleware" and stack[0] != "adds_task":
        # How far what is below comes while a response is sent through several functions is nobody's promise.
        failures -= {"cancels itself"}
    if kind in STREAMS and "sse" not in kind and moment.startswith("first"):
        # Ours is answered with its status: docs/differences.md.
        failures -= {"http exception"}
    if moment == "child":
        # How far the endpoint comes while a task takes turns before it fails is nobody's promise.
        failures &= {*IN_PLACE, "cancels itself", "waits"}
    enders = ["nobody", "middleware", "server"]
    if moment in STREAMED:
        # What else is under way when the client leaves: how far it comes is nobody's promise.
        enders.append("client")
    chunks, receive_fails, send_fails = draw(st.integers(1, 3)), None, None
    if server_fails:
        first = chunks if kind in (*STREAMS, "file") and spec_version == "2.3" else 0
        # Where two tasks of a response fail, which of them is first is nobody's promise.
        receive_fails = draw(st.none() | st.tuples(st.integers(first, 3), st.sampled_from(SERVER_ERRORS)))
        send_fails = draw(st.none() | st.tuples(st.integers(0, 3), st.sampled_from(SERVER_ERRORS)))
        if send_fails and moment.split()[0] in STREAMED:
            failures = {"nothing"}
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
    )


# 166 by default, and 5,000 in a deep run.
@pytest.mark.timeout(3600)
@settings(max_examples=settings().max_examples * 5 // 3)
@given(cases())
def test_failure_is_met_as_under_fastapi(case: Case) -> None:
    assert_same(case)
