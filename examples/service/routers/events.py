"""The live channel over a WebSocket, and its last events over HTTP."""

from ferroapi import APIRouter, WebSocket

from ..channel import LiveChannel
from ..models import Event
from ..security import Listener

router = APIRouter(prefix="/events", tags=["events"])


@router.get("")
async def list_events(channel: LiveChannel) -> list[Event]:
    """What happened lately, oldest first."""
    return list(channel.recent)


@router.websocket("/live")
async def listen(websocket: WebSocket, listener: Listener, channel: LiveChannel) -> None:
    """Hear every event as it happens; a text that is sent becomes a note everybody hears."""
    await websocket.accept()
    with channel.joined_by(websocket):
        async for text in websocket.iter_text():
            await channel.publish(Event(kind="note", by=listener, text=text))
