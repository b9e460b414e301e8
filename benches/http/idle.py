"""What an idle connection costs: memory of a server process with 10,000 of them, each of which has asked once."""

import os
import resource
import socket
import sys
from pathlib import Path

from benches.http.pinned import OWN_PROTOCOL, Unusable, cores, serve, serving

CONNECTIONS = 10_000
WARM = 200
"""Connections that are made and ended first: what the server allocates once is no part of the figure."""
REQUEST = b"GET /json HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"


def _resident(process_id: int) -> int:
    """Return the bytes of memory that a process has."""
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * resource.getpagesize()


def _ask(port: int) -> socket.socket:
    """Connect, ask once, and return the connection, which stays open."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(REQUEST)
    answer = connection.recv(4096)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise Unusable(f"idle connections: {answer[:200]!r}")
    return connection


def connection_bytes(server: str, connections: int = CONNECTIONS) -> float:
    """Return the bytes of memory that an idle connection takes on `httptools` or on `ours`.

    Raises:
        Unusable: this process may not open so many files, or a request fails.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < connections + WARM:
        raise Unusable(f"{connections:,} connections need as many open files, and {most:,} are allowed (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    core, _ = cores()
    with serving("benches.http.idle", (server,), core) as running:
        for _ in range(WARM):
            _ask(running.port).close()
        before = _resident(running.process_id)
        kept = [_ask(running.port) for _ in range(connections)]
        try:
            return (_resident(running.process_id) - before) / connections
        finally:
            for connection in kept:
                connection.close()


def run() -> dict[str, float]:
    """Return the bytes of an idle connection of ferroapi's on httptools and on the engine's protocol."""
    return {"ferroapi": connection_bytes("httptools"), "ferroapi" + OWN_PROTOCOL: connection_bytes("ours")}


def _main(server: str, core: str, listening: str) -> None:
    """Serve the case `json` on the socket of this file descriptor until terminated."""
    import ferroapi
    from benches.cases.application import json
    from ferroapi.server import HTTPProtocol

    os.sched_setaffinity(0, {int(core)})
    protocol = "httptools" if server == "httptools" else HTTPProtocol
    serve(json(ferroapi), int(listening), http=protocol, timeout_keep_alive=600)


if __name__ == "__main__":
    if sys.argv[1:]:
        _main(*sys.argv[1:])
    else:
        for name, figure in run().items():
            print(f"{name}: {figure:,.0f} bytes a connection")
