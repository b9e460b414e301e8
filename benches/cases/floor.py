"""The floor: hand-written applications that answer a case's bytes and do nothing else."""

from collections.abc import Awaitable, Callable

from benches.cases.exchange import Answer, ASGIApp, Message, Request


def floor(request: Request, answer: Answer) -> ASGIApp:
    """Return an application that reads the request's body and sends the answer, as a person would write it by hand."""
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)}
    body: Message = {"type": "http.response.body", "body": answer.body}

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        await send(start)
        await send(body)

    async def app_with_body(scope, receive, send):  # type: ignore[no-untyped-def]
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
        await send(start)
        await send(body)

    async def app_with_websocket(scope, receive, send):  # type: ignore[no-untyped-def]
        await receive()
        for message in answer.websocket_messages[:1]:
            await send(message)
        await receive()
        for message in answer.websocket_messages[1:]:
            await send(message)

    if request.websocket_messages is not None:
        return app_with_websocket
    return app_with_body if request.body else app


def rsgi_floor(request: Request, answer: Answer) -> Callable[..., Awaitable[None]]:
    """Return the same for granian's own interface, RSGI of a request without WebSocket messages."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]

    async def app(scope, protocol):  # type: ignore[no-untyped-def]
        protocol.response_bytes(answer.status, headers, answer.body)

    async def app_with_body(scope, protocol):  # type: ignore[no-untyped-def]
        await protocol()
        protocol.response_bytes(answer.status, headers, answer.body)

    return app_with_body if request.body else app
