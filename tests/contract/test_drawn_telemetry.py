"""Drawn applications under telemetry: FastAPI's answers, spans, metrics, logs and data, however they run."""

import asyncio
import importlib
import warnings
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from .drawn import Application, Built, Request
from .drawn.recording import DataProcessor, Recording
from .test_differential import WrappedRoute, answers, assert_equal_outcome, build, conversations, share


def unshrunk(number: int, of: int) -> settings:
    """A part of the profile's examples, as they were drawn: to make one smaller takes minutes."""
    return settings(share(number, of), phases=(Phase.explicit, Phase.reuse, Phase.generate))


def record(framework: str, description: Application, wanted: list[Request], **options: Any) -> Any:
    """Return answers, and what telemetry has kept of the requests; the error of a refused application."""
    recording = Recording()
    data = DataProcessor(importlib.import_module(f"{framework}.telemetry").get_telemetry_data)
    recording.tracer.add_span_processor(data)
    try:
        built = build(framework, description, telemetry=recording.config(), **options)
        if not isinstance(built, Built):
            return built
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcomes = asyncio.run(answers(built, [*wanted, *wanted]))
        return outcomes, recording.read(), data.seen
    finally:
        recording.close()


def compare(description: Application, wanted: list[Request]) -> None:
    """Assert that requests leave the same records, run by the driver itself and below a wrapped handler."""
    theirs = record("fastapi", description, wanted)
    for options in ({}, {"route_class": WrappedRoute}):
        ours = record("ferroapi", description, wanted, **options)
        if isinstance(theirs, str):
            assert ours == theirs
            continue
        for request, their, our in zip([*wanted, *wanted], theirs[0], ours[0], strict=True):
            assert_equal_outcome(their, our, f"{options}: {request}")
        for their, our in zip(theirs[1:], ours[1:], strict=True):
            assert [repr(each).replace("ferroapi", "fastapi") for each in our] == [repr(each) for each in their]


@pytest.mark.timeout(3600)
@unshrunk(1, of=4)
@given(conversations())
def test_record_of_applications_equals_that_of_fastapi(conversation: tuple[Application, list[Request]]) -> None:
    compare(*conversation)


@pytest.mark.timeout(3600)
@unshrunk(1, of=8)
@given(conversations("files", "streams", "sockets", "surroundings"))
def test_record_of_all_of_it_equals_that_of_fastapi(conversation: tuple[Application, list[Request]]) -> None:
    compare(*conversation)
