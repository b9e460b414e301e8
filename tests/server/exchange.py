"""One connection to uvicorn's protocol and to the engine's: bytes in, what the application saw, and bytes out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ferroapi.server import HTTPProtocol

PROTOCOLS: tuple[Any, ...] = (HttpToolsProtocol, HTTPProtocol)

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("1.2.3.4", 56), "sockname": ("5.6.7.8", 90)})
        self.written: list[bytes] = []
        self.closed = False
        self.paused = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_protocol(self, protocol: Any) -> None:
        raise AssertionError("no connection is given away here")


class Recording:
    """An application around another one, which keeps each scope and each message that was received."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.seen: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(dict(scope))

        async def recorded() -> Any:
            message = await receive()
            self.seen.append(message)
            return message

        await self.application(scope, recorded, send)


async def turns(count: int = 20) -> None:
    """Let the event loop come round."""
    for _ in range(count):
        await asyncio.sleep(0)


def arrive(protocol: Any, data: bytes) -> None:
    """Let bytes arrive as they do: in a callback of the event loop, outside of any task."""
    asyncio.get_running_loop().call_soon(protocol.data_received, data)


async def connect(
    protocol: Any, application: Application, server_state: ServerState | None = None, **options: Any
) -> tuple[Any, Wire]:
    """Return a protocol whose connection is made, and its transport; the `Date` and `Server` headers are off."""
    usual: dict[str, Any] = {"log_config": None, "access_log": False, "proxy_headers": False}
    config = Config(application, **(usual | options))
    connected = protocol(config, server_state or ServerState(), {"key": "value"}, asyncio.get_running_loop())
    wire = Wire()
    connected.connection_made(wire)
    return connected, wire


def converse(protocol: Any, application: Application, pieces: Iterable[bytes], **options: Any) -> tuple[Any, ...]:
    """Send the pieces one after the other; return what the application saw, the bytes of the answers, and the end."""

    async def run() -> tuple[Any, ...]:
        recording = Recording(application)
        connected, wire = await connect(protocol, recording, **options)
        for piece in pieces:
            if wire.closed:
                break
            arrive(connected, piece)
            await turns()
        closed = wire.closed
        connected.connection_lost(None)
        await turns()
        return recording.seen, b"".join(wire.written), closed

    return asyncio.run(run())
