"""Whatever fails behind middleware functions: the same answer, and the same exception to the same handlers."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from failures import Answer, Case, ask

STREAMS = ("stream", "slow-stream", "sync-stream", "raw-stream", "json-lines", "sse", "sync-sse")


def _matches(case: Case, ours: Answer, theirs: Answer) -> bool:
    if case.kind in STREAMS and (len(theirs.messages) > 1 or len(ours.messages) > 1):
        # How many chunks were on their way when a stream is interrupted depends on the turns of the event loop.
        return _without_chunks(ours) == _without_chunks(theirs)
    return _seen(ours) == _seen(theirs)


def _without_chunks(answer: Answer) -> Any:
    return [m for m in answer.messages if not m.get("more_body")], answer.raised, answer.log, answer.is_over


def _seen(answer: Answer) -> Any:
    return (answer.messages, answer.raised, answer.log, answer.is_over)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("stack", ["one", "two", "catches", "handles", "pure between", "limits"])
@pytest.mark.parametrize(
    ("kind", "failure", "moment"),
    [
        ("sse", "http exception", "first"),
        ("sse", "unhandled", "first"),
        ("sync-sse", "http exception", "first"),
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
    kind: str, failure: str, moment: str, stack: str, spec_version: str
) -> None:
    case = Case(kind, failure, moment, stack, spec_version=spec_version)
    ours, theirs = ask("ferroapi", case), ask("fastapi", case)
    assert _matches(case, ours, theirs), (ours, theirs)


@pytest.mark.parametrize("kind", ["reads", "asks", "body", "stream"])
@pytest.mark.parametrize("stack", ["one", "two", "catches", "handles"])
@pytest.mark.parametrize("error", ["error", "gone", "cancelled", "escaped"])
def test_what_receive_raises_is_met_as_under_fastapi(kind: str, stack: str, error: str) -> None:
    case = Case(kind, stack=stack, is_post=kind != "stream", receive_fails=(0, error))
    ours, theirs = ask("ferroapi", case), ask("fastapi", case)
    assert _matches(case, ours, theirs), (ours, theirs)


@pytest.mark.parametrize("receive_turns", [0, 1, 3])
@pytest.mark.parametrize("kind", ["file", "stream", "slow-stream"])
@pytest.mark.parametrize("stack", ["one", "two", "pure between"])
def test_nothing_is_raised_after_a_complete_answer(kind: str, stack: str, receive_turns: int) -> None:
    case = Case(kind, stack=stack, receive_turns=receive_turns)
    answer = ask("ferroapi", case)
    assert _seen(answer) == _seen(ask("fastapi", case))
    assert answer.raised is None
