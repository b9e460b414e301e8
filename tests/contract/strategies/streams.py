"""Strategies: endpoints that yield: JSON Lines, server-sent events and raw streams."""

from dataclasses import replace

from hypothesis import strategies as st
from starlette.responses import PlainTextResponse, StreamingResponse

from ..drawn import Operation
from ..drawn.streams import STREAMS, TYPED, WHOLE
from .values import now_and_then


class TextStream(StreamingResponse):
    """A stream with a media type of its own."""

    media_type = "text/x-own"


@st.composite
def streamed(draw: st.DrawFn, operation: Operation) -> Operation:
    """The operation with an endpoint that yields instead."""
    kind = draw(st.sampled_from(["stream", "sync stream"]))
    does = "returns"
    if now_and_then(draw, times=3):
        does = draw(
            st.sampled_from(["raises http", "raises value", "suspends", "after: raises http", "after: raises value"])
        )
    yields = None
    if draw(st.booleans()):
        yields = f"{draw(st.sampled_from(['iterable', 'iterator']))} of {draw(st.sampled_from(TYPED))}"
    endpoint = replace(
        operation.endpoint, kind=kind, does=does, result=draw(st.sampled_from(list(STREAMS))), yields=yields
    )
    options = draw(
        st.sampled_from(
            [
                (),
                (),
                (("response_class", "events"),),
                (("response_class", "events"),),
                (("response_class", StreamingResponse),),
                (("response_class", TextStream),),
                (("response_class", PlainTextResponse),),
                (("status_code", 201),),
                (("status_code", 204),),
                (("response_model", "item"),),
                (("response_model", "item"), ("response_model_exclude_none", True)),
                (("response_model", None),),
            ]
        )
    )
    if ("response_class", "events") in options and kind == "stream":
        endpoint = replace(endpoint, kind="event stream")
    elif ("response_class", "events") in options:
        # The thread runs ahead of what is sent: how much of it a failure takes back is not decided.
        endpoint = replace(endpoint, does="returns", result=draw(st.sampled_from(WHOLE)), yields=None)
    return replace(operation, endpoint=endpoint, options=options)
