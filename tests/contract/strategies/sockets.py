"""Strategies: the endpoints of WebSockets."""

from dataclasses import replace

from hypothesis import strategies as st

from ..drawn import Function, Special
from ..drawn.sockets import ACTIONS, FAILURES
from .values import now_and_then

_AFTER_ACCEPT = [name for name in ACTIONS if not name.startswith(("accept", "deny"))]


@st.composite
def socket_endpoints(draw: st.DrawFn, endpoint: Function) -> Function:
    """The endpoint as one that talks to a WebSocket: a script of actions, mostly one that makes sense."""
    actions = [draw(st.sampled_from(["accept", "accept one"]))]
    actions += draw(st.lists(st.sampled_from(_AFTER_ACCEPT), max_size=4))
    if draw(st.booleans()):
        actions.append(draw(st.sampled_from([*FAILURES, "close", "close 4001"])))
    if now_and_then(draw, times=4):
        actions = draw(st.lists(st.sampled_from([*ACTIONS, *FAILURES]), min_size=1, max_size=4))
    others = tuple(
        each for each in endpoint.parameters if not (isinstance(each, Special) and each.kind in ("request", "response"))
    )
    return replace(
        endpoint,
        kind="socket",
        parameters=(Special("the_socket", "socket"), *others),
        does=draw(st.sampled_from(["returns", "returns", "returns", "raises http", "raises value", "raises custom"])),
        result="; ".join(actions),
    )
