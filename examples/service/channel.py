"""The live channel: everybody who listens hears every event; the last ones are kept for those who come later."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

from ferroapi import Depends, WebSocket, WebSocketDisconnect
from ferroapi.requests import HTTPConnection

from .models import Event


class Channel:
    """The listeners and the last events of one process."""

    def __init__(self) -> None:
        self.recent: deque[Event] = deque(maxlen=50)
        self._listeners: set[WebSocket] = set()

    @contextmanager
    def joined_by(self, websocket: WebSocket) -> Iterator[None]:
        """Let the socket hear the channel while the block runs."""
        self._listeners.add(websocket)
        try:
            yield
        finally:
            self._listeners.discard(websocket)

    async def publish(self, event: Event) -> None:
        """Keep the event and tell it to every listener."""
        self.recent.append(event)
        for listener in tuple(self._listeners):
            # One that left a moment ago is taken off the list by its own route.
            with suppress(WebSocketDisconnect, RuntimeError):
                await listener.send_json(event.model_dump())


def get_channel(connection: HTTPConnection) -> Channel:
    """Return the application's channel."""
    channel: Channel = connection.state.channel
    return channel


LiveChannel = Annotated[Channel, Depends(get_channel)]
