"""pytest plugin of the server's run: the engine's HTTP protocol stands where uvicorn's tests take that of httptools."""

from uvicorn.protocols.http import httptools_impl

from ferroapi.server import HTTPProtocol

httptools_impl.HttpToolsProtocol = HTTPProtocol  # type: ignore[misc,assignment]
