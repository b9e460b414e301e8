"""What an OpenAPI document says of three models of the framework where an application uses them as body or response.

These are bytes on the wire, which clients are generated from, and so in FastAPI's words, not in ours.
Source: `components.schemas` of a document of FastAPI 0.165.0.
"""

HTTP_AUTHORIZATION_CREDENTIALS = """\
The HTTP authorization credentials in the result of using `HTTPBearer` or
`HTTPDigest` in a dependency.

The HTTP authorization header value is split by the first space.

The first part is the `scheme`, the second part is the `credentials`.

For example, in an HTTP Bearer token scheme, the client will send a header
like:

```
Authorization: Bearer deadbeef12346
```

In this case:

* `scheme` will have the value `"Bearer"`
* `credentials` will have the value `"deadbeef12346"`"""

HTTP_BASIC_CREDENTIALS = """\
The HTTP Basic credentials given as the result of using `HTTPBasic` in a
dependency.

Read more about it in the
[FastAPI docs for HTTP Basic Auth](https://fastapi.tiangolo.com/advanced/security/http-basic-auth/)."""

SERVER_SENT_EVENT = """\
Represents a single Server-Sent Event.

When `yield`ed from a *path operation function* that uses
`response_class=EventSourceResponse`, each `ServerSentEvent` is encoded
into the [SSE wire format](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)
(`text/event-stream`).

If you yield a plain object (dict, Pydantic model, etc.) instead, it is
automatically JSON-encoded and sent as the `data:` field.

All `data` values **including plain strings** are JSON-serialized.

For example, `data="hello"` produces `data: "hello"` on the wire (with
quotes)."""
