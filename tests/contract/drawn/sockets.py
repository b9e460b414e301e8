"""What the endpoints of drawn WebSockets do, an action after the other."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketDisconnect

from .results import CustomError

ACTIONS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "accept": lambda socket: socket.accept(),
    "accept one": lambda socket: socket.accept("one", headers=[(b"x-accepted", b"1")]),
    "send text": lambda socket: socket.send_text("é\u2028"),
    "send bytes": lambda socket: socket.send_bytes(b"\xff"),
    "send json": lambda socket: socket.send_json({"a": [1, "é", None]}),
    "send json bytes": lambda socket: socket.send_json([1.5], mode="binary"),
    "receive": lambda socket: socket.receive(),
    "receive text": lambda socket: socket.receive_text(),
    "receive bytes": lambda socket: socket.receive_bytes(),
    "receive json": lambda socket: socket.receive_json(),
    "close": lambda socket: socket.close(),
    "close 4001": lambda socket: socket.close(4001, "done"),
    "deny": lambda socket: socket.send_denial_response(PlainTextResponse("denied", 403, {"x-denied": "1"})),
}
FAILURES = ["raise websocket", "raise http", "raise value", "raise custom", "raise disconnect", "iterate"]


async def act(fastapi: Any, socket: Any, action: str) -> Any:
    """Do one action and return what came of it.

    Raises:
        Exception: the action is to raise one, or the socket is not in the state for it.
    """
    if action in ACTIONS:
        return await ACTIONS[action](socket)
    if action == "raise websocket":
        raise fastapi.WebSocketException(4002, "a reason")
    if action == "raise http":
        raise fastapi.HTTPException(403, "no socket", {"x-why": "1"})
    if action == "raise value":
        raise ValueError("value error of a socket")
    if action == "raise custom":
        raise CustomError("custom error of a socket")
    if action == "raise disconnect":
        raise WebSocketDisconnect(1001, "left")
    return [text async for text in socket.iter_text()]
