"""Where ferroapi answers otherwise than FastAPI on purpose: the lines of `docs/differences.md` that hold today.

Both sides are asserted, so that a difference that FastAPI gives up is noticed. All else is equal: `test_differential`.
"""

import asyncio
import importlib
import json
import sys
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any

import anyio
import pytest
from pydantic import create_model
from starlette.convertors import CONVERTOR_TYPES
from starlette.testclient import TestClient

from ferroapi import _core

from .drawn import Built, Outcome, Request, run

JSON = ((b"content-type", b"application/json"),)
MULTIPART = ((b"content-type", b"multipart/form-data; boundary=X"),)
MODES = pytest.mark.parametrize("native", [True, False], ids=["native", "handler mode"])


def build(framework: str, native: bool = True) -> Built:
    fastapi = importlib.import_module(framework)
    routing = importlib.import_module(f"{framework}.routing")
    form, upload = fastapi.Form, fastapi.UploadFile
    app = fastapi.FastAPI(openapi_url=None)

    class Handled(routing.APIRoute):  # type: ignore[name-defined, misc]
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def handle(request: Any) -> Any:
                return await handler(request)

            return handle

    if not native:
        app.router.route_class = Handled

    @app.get("/ping")
    async def ping() -> str:
        return "pong"

    @app.get("/number/{number:int}")
    async def number(number: int) -> int:
        return number

    @app.get("/part/{number:int}.{text}")
    async def part_of_a_segment(number: int, text: str) -> int:
        return number

    @app.get("/slash/")
    async def slash() -> None: ...

    @app.get("/url")
    async def url(request: fastapi.Request) -> str:
        return str(request.url)

    @app.get("/decimal", response_model=None)
    async def decimal(value: Decimal) -> Any:
        return {"value": [value]}

    @app.post("/numbers")
    async def numbers(body: list[int]) -> int:
        return len(body)

    fields: Any = create_model("Fields", **{f"field{index}": (int, ...) for index in range(60)})

    @app.post("/fields")
    async def read_fields(body: fields) -> int:
        return 1

    @app.post("/form")
    async def read_form(a: Annotated[str, form()] = "", file: Annotated[upload | None, fastapi.File()] = None) -> str:
        return a

    @app.get("/header")
    async def header(response: fastapi.Response, value: str) -> int:
        response.headers["x-value"] = value
        return 1

    @app.get("/header-of-response")
    async def header_of_response(value: str) -> Any:
        return fastapi.Response(b"split", headers={"x-value": value})

    @app.get("/header-of-stream")
    async def header_of_stream(value: str) -> Any:
        stream = importlib.import_module(f"{framework}.responses").StreamingResponse
        return stream(iter([b"split"]), headers={"x-value": value})

    @app.get("/header-of-exception")
    async def header_of_exception(value: str) -> Any:
        raise fastapi.HTTPException(400, headers={"x-value": value})

    @app.get("/status")
    async def status(response: fastapi.Response, value: int) -> int:
        response.status_code = value
        return 1

    @app.get("/status-of-response")
    async def status_of_response(value: int) -> Any:
        return fastapi.Response(status_code=value)

    @app.get("/cookie")
    async def cookie(a: Annotated[str | None, fastapi.Cookie()] = None) -> int:
        return 1

    return Built(app, [], app)


def outcomes(request: Request, native: bool = True) -> tuple[Outcome, Outcome]:
    """FastAPI's outcome and ours, both for the second request of an application."""

    async def second(built: Built) -> Outcome:
        await run(built, Request("GET", "/nowhere"))
        return await run(built, request)

    theirs, ours = (asyncio.run(second(build(framework, native))) for framework in ("fastapi", "ferroapi"))
    return theirs, ours


@pytest.mark.parametrize("path", ["/ping%0A", "/number/1%0A"])
def test_an_encoded_newline_at_the_end_is_a_part_of_the_path(path: str) -> None:
    theirs, ours = outcomes(Request("GET", path))
    assert (theirs.status, ours.status) == (200, 404)


@pytest.mark.parametrize("path", ["/ping%0Ax", "/%0Aping", "/number/1%0A2", "/ping%0A%0A"])
def test_a_newline_elsewhere_matches_as_under_fastapi(path: str) -> None:
    theirs, ours = outcomes(Request("GET", path))
    assert (theirs.status, ours.status) == (404, 404)


@MODES
@pytest.mark.parametrize("path", ["/number/{}", "/part/{}.x"])
@pytest.mark.parametrize("digits", ["9" * 4301, "0" * 4300 + "1", "9" * 60_000], ids=len)
def test_a_number_of_too_many_digits_is_no_number_in_a_path(path: str, digits: str, native: bool) -> None:
    theirs, ours = outcomes(Request("GET", path.format(digits)), native)
    assert theirs.status == 500
    assert (ours.status, ours.raised) == (404, None)


@MODES
@pytest.mark.parametrize("digits", ["9" * 4300, "0" * 4299 + "1"])
def test_a_number_of_as_many_digits_as_python_reads_is_one(digits: str, native: bool) -> None:
    theirs, ours = outcomes(Request("GET", f"/number/{digits}"), native)
    assert ours == theirs
    assert ours.status == 200


def test_a_redirect_to_the_other_slash_keeps_a_query_that_is_no_text() -> None:
    theirs, ours = outcomes(Request("GET", "/slash", query=b"a=\xff&b=%FE+%C3%A9"))
    assert theirs.status == 500
    assert (ours.status, ours.raised) == (307, None)
    assert dict(ours.headers)[b"location"] == b"http://testserver/slash/?a=%FF&b=%FE+%C3%A9"


@pytest.mark.parametrize("query", ["a=\u00e9&b=%ff".encode(), b"a=1", b"", b'a=%22%20"<>'])
def test_a_redirect_to_the_other_slash_keeps_a_text_as_under_fastapi(query: bytes) -> None:
    theirs, ours = outcomes(Request("GET", "/slash", query=query))
    assert ours == theirs
    assert ours.status == 307


@MODES
def test_the_url_that_an_endpoint_asks_starlette_for_is_starlettes(native: bool) -> None:
    theirs, ours = outcomes(Request("GET", "/url", query=b"a=\xff"), native)
    assert ours == theirs
    assert theirs.status == 500


@MODES
@pytest.mark.parametrize("text", ["1E%2B999999", "-123.456E%2B999999", "1E%2B999999999999999999"])
def test_a_decimal_of_too_many_digits_is_refused_before_it_is_made(text: str, native: bool) -> None:
    # FastAPI takes 30 s for the first, and fails with the same error: a smaller one shows it.
    request = Request("GET", "/decimal", query=b"value=1E%2B4300")
    theirs, _ = outcomes(request, native)
    built = build("ferroapi", native)
    start = time.process_time()
    ours = asyncio.run(run(built, Request("GET", "/decimal", query=b"value=" + text.encode())))
    assert time.process_time() - start < 2
    assert (ours.status, ours.raised) == (theirs.status, theirs.raised)
    assert theirs.status == 500
    assert "4300 digits" in str(theirs.raised)


@MODES
@pytest.mark.parametrize(
    "text", ["1E%2B4299", "-9.99E%2B4299", "0E%2B999999", "-0", "1E%2B5", "1.5E%2B700", "9" * 4300, "9" * 700 + ".5"]
)
def test_a_decimal_of_as_many_digits_as_python_prints_is_written(text: str, native: bool) -> None:
    theirs, ours = outcomes(Request("GET", "/decimal", query=b"value=" + text.encode()), native)
    assert ours == theirs


@pytest.mark.parametrize("text", ["1E+4300", "-1.5E+5000", "9" * 4301])
def test_the_encoder_refuses_decimals_of_too_many_digits(text: str) -> None:
    theirs, ours = (importlib.import_module(f"{name}.encoders").jsonable_encoder for name in ("fastapi", "ferroapi"))
    assert theirs(Decimal(text)) == int(Decimal(text))
    with pytest.raises(ValueError, match="4300 digits"):
        ours([Decimal(text)])
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert ours(Decimal(text)) == theirs(Decimal(text))
        encoded = _core.encode_json({"a": Decimal(text)})
        assert encoded == b'{"a":%d}' % int(Decimal(text))
    finally:
        sys.set_int_max_str_digits(limit)


@pytest.mark.parametrize(
    "body",
    [
        b'[NaN, "x"]',
        b'["x", Infinity]',
        b"[-Infinity]",
        b"[1e999]",
        b'["\\ud800"]',
        b'{"\\udfff": 1}',
        b'[{"deep": [NaN]}]',
    ],
    ids=repr,
)
def test_input_that_json_cannot_say_is_refused_with_an_answer(body: bytes) -> None:
    theirs, ours = outcomes(Request("POST", "/numbers", headers=JSON, chunks=(body,)))
    assert theirs.status == 500
    assert theirs.raised is not None
    assert (ours.status, ours.raised) == (422, None)
    assert json.loads(ours.body)["detail"]


@pytest.mark.parametrize("content_type", [None, b"text/plain", b"application/x-msgpack"])
def test_bytes_that_are_no_text_are_refused_with_an_answer(content_type: bytes | None) -> None:
    headers = () if content_type is None else ((b"content-type", content_type),)
    theirs, ours = outcomes(Request("POST", "/numbers", headers=headers, chunks=(b"\x81\xa1a\xff",)))
    assert (theirs.status, ours.status, ours.raised) == (500, 422, None)
    assert "UnicodeDecodeError" in str(theirs.raised)
    assert json.loads(ours.body)["detail"][0]["loc"] == ["body"]


def test_a_long_list_of_errors_is_cut_on_the_wire() -> None:
    body = json.dumps(["x"] * 500).encode()
    theirs, ours = outcomes(Request("POST", "/numbers", headers=JSON, chunks=(body,)))
    assert (theirs.status, ours.status) == (422, 422)
    assert len(json.loads(theirs.body)["detail"]) == 500
    shown = json.loads(ours.body)["detail"]
    assert shown[:100] == json.loads(theirs.body)["detail"][:100]
    assert len(shown) <= 101


@pytest.mark.parametrize("text", [b'"%s"' % (b"x" * 5000), b"[%s1]" % (b"1," * 30_000), b"1"], ids=len)
def test_an_input_is_not_quoted_again_and_again(text: bytes) -> None:
    body = b'{"z": %s}' % text
    theirs, ours = outcomes(Request("POST", "/fields", headers=JSON, chunks=(body,)))
    assert (theirs.status, ours.status) == (422, 422)
    expected, shown = json.loads(theirs.body)["detail"], json.loads(ours.body)["detail"]
    assert len(theirs.body) > 60 * len(body)
    assert len(ours.body) <= 16_384 + 2 * len(body)
    if len(body) < 100:
        assert ours == theirs
        return
    assert shown[0] == expected[0]
    assert shown[1:] == [{key: error[key] for key in ("type", "loc", "msg")} for error in expected[1:]]


def test_a_list_of_errors_of_the_usual_length_is_fastapis() -> None:
    body = json.dumps(["x"] * 100).encode()
    theirs, ours = outcomes(Request("POST", "/numbers", headers=JSON, chunks=(body,)))
    assert ours == theirs


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    return b'--X\r\nContent-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n" + value + b"\r\n"


WHOLE = part(b"a", b"1") + part(b"file", b"12345", b'; filename="f"') + b"--X--\r\n"


@MODES
@pytest.mark.parametrize("length", [len(part(b"a", b"1")), 40, 20])
def test_a_truncated_form_is_refused(length: int, native: bool) -> None:
    theirs, ours = outcomes(Request("POST", "/form", headers=MULTIPART, chunks=(WHOLE[:10], WHOLE[10:length])), native)
    assert theirs.status == 200
    assert (ours.status, ours.raised) == (400, None)
    assert json.loads(ours.body) == {"detail": "The multipart body ends before its closing boundary."}


@MODES
@pytest.mark.parametrize("length", [len(WHOLE) - 4, len(WHOLE) - 5, len(WHOLE) - 12])
def test_a_form_truncated_in_a_file_is_refused_and_the_file_closed(length: int, native: bool) -> None:
    # A file that stays open would be a ResourceWarning here, as it is under FastAPI.
    built = build("ferroapi", native)
    ours = asyncio.run(run(built, Request("POST", "/form", headers=MULTIPART, chunks=(WHOLE[:length],))))
    assert (ours.status, ours.raised) == (400, None)


@MODES
@pytest.mark.parametrize(
    "body",
    [WHOLE, WHOLE[:-2], WHOLE + b"epilogue", b"--X--\r\n", b"\r\n--X--", b"", b"garbage", part(b"b", b"1") + b"--X--"],
    ids=repr,
)
def test_a_whole_form_is_read_as_under_fastapi(body: bytes, native: bool) -> None:
    theirs, ours = outcomes(Request("POST", "/form", headers=MULTIPART, chunks=(body[:30], body[30:])), native)
    assert ours == theirs


@MODES
@pytest.mark.parametrize(
    "more", [b'; x="' + b";" * 8192, b'; x="' + b'\\"' * 4096 + b'"', b"; x*=" + b"y" * 8192], ids=len
)
def test_a_media_type_that_takes_long_to_read_is_refused(more: bytes, native: bool) -> None:
    headers = ((b"content-type", b"multipart/form-data; boundary=X" + more),)
    theirs, ours = outcomes(Request("POST", "/form", headers=headers, chunks=(WHOLE,)), native)
    assert theirs.status == 200
    assert (ours.status, ours.raised) == (400, None)
    assert json.loads(ours.body) == {"detail": "The media type of the form is too long."}


@MODES
@pytest.mark.parametrize("content_type", [b"x=" + b"y" * 9000, b"text/plain" + b"; x" * 9000, b"\xff" * 9000], ids=len)
def test_a_long_media_type_that_is_no_form_is_none_as_under_fastapi(content_type: bytes, native: bool) -> None:
    request = Request("POST", "/form", headers=((b"content-type", content_type),), chunks=(b"a=1",))
    theirs, ours = outcomes(request, native)
    assert ours == theirs
    assert ours.status == 200


@MODES
@pytest.mark.parametrize(
    "more", [b'; x="' + b";" * 9000 + b'"', b"; x=y" * 2000, b"; x=" + b"y" * 9000, b"; x=\xff"], ids=len
)
def test_a_media_type_that_is_plain_or_short_is_read_as_under_fastapi(more: bytes, native: bool) -> None:
    headers = ((b"content-type", b"multipart/form-data; boundary=X" + more),)
    theirs, ours = outcomes(Request("POST", "/form", headers=headers, chunks=(WHOLE,)), native)
    assert ours == theirs
    assert ours.status == 200


@pytest.mark.parametrize(
    ("charset", "value", "theirs_reads", "ours_reads"),
    [
        (b"utf-7", b"+AOk-", "\u00e9", "+AOk-"),
        (b"unicode_escape", b"\\x41", "A", "\\x41"),
        (b"idna", b"xn--4ca", "\u00e4", "xn--4ca"),
        (b"utf-8", b"\xc3\xa9", "\u00e9", "\u00e9"),
        (b"latin-1", b"\xe9", "\u00e9", "\u00e9"),
        (b"windows-1252", b"\x80", "\u20ac", "\u20ac"),
        (b"shift_jis", b"\x82\xa0", "\u3042", "\u3042"),
        (b"rot13", b"abc", "abc", "abc"),
        (b"no-such", b"\xe9", "\u00e9", "\u00e9"),
    ],
)
def test_only_charsets_decode_a_form(charset: bytes, value: bytes, theirs_reads: str, ours_reads: str) -> None:
    headers = ((b"content-type", b"multipart/form-data; boundary=X; charset=" + charset),)
    theirs, ours = outcomes(Request("POST", "/form", headers=headers, chunks=(part(b"a", value) + b"--X--",)))
    assert json.loads(theirs.body) == theirs_reads
    assert json.loads(ours.body) == ours_reads


@MODES
@pytest.mark.parametrize("path", ["/header", "/header-of-response", "/header-of-stream", "/header-of-exception"])
@pytest.mark.parametrize("value", [b"a%0D%0Aset-cookie:b", b"a%0Ab", b"%00", b"%7F"])
def test_a_control_byte_in_a_header_is_one_clean_500(path: str, value: bytes, native: bool) -> None:
    theirs, ours = outcomes(Request("GET", path, b"value=" + value), native)
    assert theirs.status == (400 if "exception" in path else 200)
    assert (ours.status, ours.log.count("start"), ours.body) == (500, 1, b"Internal Server Error")
    assert ours.raised == 'RuntimeError: the response has a control byte in its header "x-value"'
    assert b"x-value" not in dict(ours.headers)


@MODES
@pytest.mark.parametrize("path", ["/header", "/header-of-response", "/header-of-stream", "/header-of-exception"])
@pytest.mark.parametrize("value", [b"", b"a%09b", b"%C3%A9", b"%20", b"%E2%82%AC"])
def test_any_other_header_is_as_under_fastapi(path: str, value: bytes, native: bool) -> None:
    theirs, ours = outcomes(Request("GET", path, b"value=" + value), native)
    assert ours == theirs


@MODES
@pytest.mark.parametrize("path", ["/status", "/status-of-response"])
@pytest.mark.parametrize("value", [-1, 0, 99, 1000, 70_000, 10**20])
def test_a_status_that_is_none_is_one_clean_500(path: str, value: int, native: bool) -> None:
    theirs, ours = outcomes(Request("GET", path, b"value=%d" % value), native)
    assert theirs.status == value
    assert (ours.status, ours.log.count("start"), ours.body) == (500, 1, b"Internal Server Error")
    assert ours.raised == f"RuntimeError: the response has no HTTP status: {value}"


@MODES
@pytest.mark.parametrize("path", ["/status", "/status-of-response"])
@pytest.mark.parametrize("value", [100, 103, 200, 204, 205, 304, 418, 599, 600, 999])
def test_any_status_of_three_digits_is_as_under_fastapi(path: str, value: int, native: bool) -> None:
    theirs, ours = outcomes(Request("GET", path, b"value=%d" % value), native)
    assert ours == theirs


@pytest.mark.parametrize(
    ("reason", "sent"),
    [("x" * 200, "x" * 123), ("\u20ac" * 50, "\u20ac" * 41), (["a", 1], "['a', 1]"), ("short", "short"), (None, "")],
)
@pytest.mark.parametrize("way", ["close", "exception"])
def test_a_close_reason_is_text_that_fits(reason: Any, sent: str, way: str) -> None:
    def closed(framework: str) -> Any:
        fastapi = importlib.import_module(framework)
        app = fastapi.FastAPI()

        @app.websocket("/")
        async def endpoint(websocket: fastapi.WebSocket) -> None:
            await websocket.accept()
            if way == "exception":
                raise fastapi.WebSocketException(1008, reason)
            await websocket.close(1008, reason)

        testclient = importlib.import_module(f"{framework}.testclient")
        with testclient.TestClient(app).websocket_connect("/") as session:
            message = session.receive()
        return message["reason"]

    assert closed("fastapi") == (reason or "")
    assert closed("ferroapi") == sent


def test_a_router_can_be_served_as_an_application() -> None:
    def answer(framework: str) -> Any:
        fastapi = importlib.import_module(framework)
        router = fastapi.APIRouter()
        router.get("/{number}")(lambda number: {"number": number})
        testclient = importlib.import_module(f"{framework}.testclient")
        return testclient.TestClient(router).get("/3").json()

    with pytest.raises(AssertionError, match="fastapi_middleware_astack not found in request scope"):
        answer("fastapi")
    assert answer("ferroapi") == {"number": "3"}


LARGE = 64_000
LONG_COOKIES = {
    "escaped quotes": (b'a="' + b'\\"' * (LARGE // 2) + b'"'),
    "octal": (b'a="' + b"\\012" * (LARGE // 4) + b'"'),
    "pairs": (b"a=1;" * (LARGE // 4)),
    "spaces": (b"a=" + b" " * LARGE),
}


@pytest.mark.parametrize("name", LONG_COOKIES)
def test_a_cookie_of_64_kb_takes_linear_time(name: str) -> None:
    value = LONG_COOKIES[name]
    built = build("ferroapi")

    async def seconds(value: bytes) -> float:
        started = time.process_time()
        await run(built, Request("GET", "/cookie", headers=((b"cookie", value),)))
        return time.process_time() - started

    async def measure() -> float:
        await seconds(b"")
        return min([await seconds(value) for _ in range(3)])

    # 10 ms on a machine that does nothing else; what is quadratic takes seconds.
    assert asyncio.run(measure()) < 0.2


@pytest.mark.parametrize(("framework", "seen"), [("fastapi", 3), ("ferroapi", "3")])
def test_a_convertor_that_is_put_in_late_is_seen_where_the_dictionary_is_assigned(framework: str, seen: Any) -> None:
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI()

    @app.get("/{number}")
    async def number(request: fastapi.Request) -> Any:
        return request.path_params["number"]

    client, convertors = TestClient(app), app.routes[-1].param_convertors
    assert client.get("/3").json() == "3"
    convertors["number"] = CONVERTOR_TYPES["int"]
    assert client.get("/3").json() == seen
    app.routes[-1].param_convertors = convertors
    assert client.get("/3").json() == 3


def test_attributes_of_applications_and_routers_are_fastapis_and_some_more() -> None:
    def attributes(framework: str) -> list[set[str]]:
        fastapi = importlib.import_module(framework)
        app, router = fastapi.FastAPI(), fastapi.APIRouter()
        app.include_router(router)
        return [set(vars(each)) for each in (app, app.router, router, app.routes[-1].include_context)]

    for theirs, ours in zip(attributes("fastapi"), attributes("ferroapi"), strict=True):
        assert theirs < ours


@pytest.mark.parametrize(("framework", "is_here"), [("fastapi", False), ("ferroapi", True)])
def test_a_deprecated_example_warns_of_the_line_that_has_it(framework: str, is_here: bool) -> None:
    fastapi = importlib.import_module(framework)
    with pytest.warns(fastapi.exceptions.FastAPIDeprecationWarning) as warned:
        fastapi.Body(example=1)
    assert (warned[0].filename == __file__) is is_here


@pytest.mark.parametrize(("framework", "is_called"), [("fastapi", True), ("ferroapi", False)])
def test_a_stream_of_json_lines_does_not_ask_anyio_to_sleep(
    framework: str, is_called: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fastapi = importlib.import_module(framework)
    app, original = fastapi.FastAPI(), anyio.sleep
    called: list[float] = []

    async def sleep(delay: float) -> None:
        called.append(delay)
        await original(delay)

    @app.get("/")
    async def stream() -> AsyncIterator[int]:
        yield 1

    with monkeypatch.context() as patch:
        patch.setattr(anyio, "sleep", sleep)
        answer = TestClient(app).get("/")
    assert (answer.status_code, answer.content) == (200, b"1\n")
    assert bool(called) is is_called
