import asyncio
import json
import math
from typing import Any

import fastapi
import fastapi.encoders
import fastapi.exception_handlers
import fastapi.exceptions
import pytest
import starlette.exceptions
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

import ferroapi
import ferroapi.encoders
from ferroapi import exception_handlers, exceptions
from ferroapi.exceptions import HTTPException, RequestValidationError, WebSocketRequestValidationError

CONTEXTS: list[Any] = [
    None,
    {},
    {"path": "GET /"},
    {"function": "read", "file": "/app.py", "line": 3},
    {"function": "read", "file": "/app.py", "line": 3, "path": "GET /items/{id}"},
    {"function": "read", "file": "/app.py", "line": 0, "path": "GET /"},
]

request: Any = None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("errors", [[], [{"msg": "a"}], ["a", "b"]])
@pytest.mark.parametrize(
    "name",
    [
        "ValidationException",
        "RequestValidationError",
        "WebSocketRequestValidationError",
        "ResponseValidationError",
    ],
)
def test_validation_exception_prints_as_fastapis(name: str, errors: list[Any], context: Any) -> None:
    ours = getattr(exceptions, name)(errors, endpoint_ctx=context)
    theirs = getattr(fastapi.exceptions, name)(errors, endpoint_ctx=context)
    assert str(ours) == str(theirs)
    assert vars(ours) == vars(theirs)
    assert ours.errors() is errors


def test_http_exception_keeps_detail_and_headers() -> None:
    error = HTTPException(404, detail={"no": "item"}, headers={"X-Reason": "gone"})
    assert vars(error) == {"status_code": 404, "detail": {"no": "item"}, "headers": {"X-Reason": "gone"}}
    assert str(error) == str(fastapi.exceptions.HTTPException(404, detail={"no": "item"}))
    assert HTTPException(418).detail == "I'm a Teapot"


DETAILS = st.one_of(
    st.none(),
    st.text(st.characters(codec=None)),
    st.floats(),
    st.dates(),
    st.lists(st.text(), max_size=2),
    st.dictionaries(st.text(), st.integers(), max_size=2),
    st.sampled_from([type("Text", (str,), {})("a text of its own"), "\udc80", '"\\\x00\x7f\u2028', "a" * 5000]),
)


@given(detail=DETAILS, status=st.sampled_from([400, 401, 404, 500, 204]), header=st.booleans())
def test_http_exception_handler_answers_as_fastapis(detail: Any, status: int, header: bool) -> None:
    """Also where the detail has no JSON form, which is an exception of the handler."""
    seen = []
    for handlers, errors in (
        (fastapi.exception_handlers, fastapi.exceptions),
        (exception_handlers, exceptions),
    ):
        error = errors.HTTPException(status, detail, {"X-A": "b"} if header else None)
        try:
            answer = asyncio.run(handlers.http_exception_handler(request, error))
            seen.append((answer.status_code, answer.raw_headers, answer.body, isinstance(answer, JSONResponse)))
        except Exception as failure:
            seen.append((type(failure), str(failure)))
    assert seen[0] == seen[1]


@pytest.mark.anyio
@pytest.mark.parametrize("status", [204, 304])
async def test_http_exception_handler_sends_no_body_where_none_is_allowed(status: int) -> None:
    answer = await exception_handlers.http_exception_handler(request, HTTPException(status, "x", {"X-A": "b"}))
    assert (answer.body, answer.headers["x-a"]) == (b"", "b")


@pytest.mark.anyio
async def test_http_exception_handler_sends_the_detail() -> None:
    answer = await exception_handlers.http_exception_handler(request, HTTPException(403, ["no"]))
    assert (answer.status_code, answer.body) == (403, b'{"detail":["no"]}')


async def rendered(errors: list[Any], size: int | None = None) -> Any:
    error = RequestValidationError(errors)
    if size is not None:
        exceptions._body_sizes[error] = size
    answer = await exception_handlers.request_validation_exception_handler(request, error)
    assert len(answer.body) <= 16_384 + 2 * (size or 0)
    assert answer.status_code == 422
    return json.loads(bytes(answer.body))["detail"]


@pytest.mark.anyio
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["type", "loc", "msg", "input", "ctx"]), st.text() | st.integers() | st.none()),
        max_size=3,
    )
)
async def test_request_validation_exception_handler_answers_as_fastapis(errors: list[Any]) -> None:
    from fastapi.exception_handlers import request_validation_exception_handler as theirs

    try:
        expected = await theirs(request, fastapi.exceptions.RequestValidationError(errors))
    except ValueError:
        await rendered(errors)
    else:
        ours = await exception_handlers.request_validation_exception_handler(request, RequestValidationError(errors))
        assert ours.body == expected.body


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        ({"a": math.inf, "b": 1.5}, {"a": "Infinity", "b": 1.5}),
        ("\ud800x", "\\ud800x"),
        (b"\xff", "\\xff"),
        pytest.param(10**5000, "an integer of 16610 bits", id="long integer"),
        ({b"\xfe": (True, None)}, {"\\xfe": [True, None]}),
    ],
)
async def test_request_validation_exception_handler_renders_what_has_no_json_form(value: Any, expected: Any) -> None:
    error = {"type": "t", "loc": ["body"], "msg": "m", "input": value}
    assert await rendered([error]) == [error | {"input": expected}]


@pytest.mark.anyio
async def test_request_validation_exception_handler_renders_deep_nesting() -> None:
    assert "..." in str(await rendered([{"input": nested(100_000)}]))


@pytest.mark.anyio
@pytest.mark.parametrize("size", [0, 20_000])
async def test_request_validation_exception_handler_sends_a_large_input_once(size: int) -> None:
    body = {"text": "x" * 20_000}
    errors = [{"type": "missing", "loc": ["body", name], "msg": "Field required", "input": body} for name in "abc"]
    without = [{key: error[key] for key in ("type", "loc", "msg")} for error in errors]
    assert await rendered(errors, size) == ([errors[0], *without[1:]] if size else without)
    assert errors[1]["input"] is body


@pytest.mark.anyio
async def test_request_validation_exception_handler_caps_the_list() -> None:
    assert len(await rendered(["e"] * 1000)) == exception_handlers.MAXIMUM_ERRORS


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([{"loc": ("query", "token"), "msg": "Field required"}], "query.token: Field required"),
        (["one", {"loc": ("a",), "msg": "\ud800"}], "one; a: ?"),
        (["é" * 100], "é" * 61),
    ],
)
async def test_websocket_validation_closes_with_a_short_reason(errors: list[Any], reason: str) -> None:
    closed: list[Any] = []

    class Socket:
        async def close(self, **options: Any) -> None:
            closed.append(options)

    socket: Any = Socket()
    error = WebSocketRequestValidationError(errors)
    await exception_handlers.websocket_request_validation_exception_handler(socket, error)
    assert closed == [{"code": 1008, "reason": reason}]
    assert len(reason.encode()) <= exception_handlers.MAXIMUM_CLOSE_REASON


@pytest.mark.parametrize(
    ("name", "arguments"), [("HTTPException", (404, "detail", {"x": "y"})), ("WebSocketException", (1000, "reason"))]
)
def test_constructor_of_starlette_is_given_names(
    name: str, arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is put in its place may take them in another order."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(
        getattr(starlette.exceptions, name), "__init__", lambda self, **keywords: given.append(keywords)
    )
    for module in (fastapi.exceptions, exceptions):
        getattr(module, name)(*arguments)
    assert given[0] == given[1] != {}


@pytest.mark.parametrize("path", ["/number/x", "/body"])
def test_handler_may_answer_all_that_an_error_holds(path: str) -> None:
    def answered(framework: Any) -> Any:
        app = framework.FastAPI()

        async def show(request: Any, error: Exception) -> Any:
            shown = {name: value for name, value in vars(error).items() if not name.startswith("endpoint_")}
            return JSONResponse(framework.encoders.jsonable_encoder(shown), 422)

        async def number(number: int) -> None: ...

        async def body(numbers: list[int]) -> None: ...

        app.add_exception_handler(framework.exceptions.RequestValidationError, show)
        app.get("/number/{number}")(number)
        app.post("/body")(body)
        response = TestClient(app).request("POST" if path == "/body" else "GET", path, content=b'["x"]')
        return response.status_code, response.text

    assert answered(ferroapi) == answered(fastapi)
