"""Where ferroapi answers otherwise than FastAPI on purpose: the lines of `docs/differences.md` that hold today.

Both sides are asserted, so that a difference that FastAPI gives up is noticed. All else is equal: `test_differential`.
"""

import asyncio
import importlib
import json

import pytest

from .drawn import Built, Outcome, Request, run

JSON = ((b"content-type", b"application/json"),)


def build(framework: str) -> Built:
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI(openapi_url=None)

    @app.get("/ping")
    async def ping() -> str:
        return "pong"

    @app.get("/number/{number:int}")
    async def number(number: int) -> int:
        return number

    @app.post("/numbers")
    async def numbers(body: list[int]) -> int:
        return len(body)

    return Built(app, [], app)


def outcomes(request: Request) -> tuple[Outcome, Outcome]:
    """FastAPI's outcome and ours, both for the second request of an application."""

    async def second(built: Built) -> Outcome:
        await run(built, Request("GET", "/nowhere"))
        return await run(built, request)

    theirs, ours = (asyncio.run(second(build(framework))) for framework in ("fastapi", "ferroapi"))
    return theirs, ours


@pytest.mark.parametrize("path", ["/ping%0A", "/number/1%0A"])
def test_an_encoded_newline_at_the_end_is_a_part_of_the_path(path: str) -> None:
    theirs, ours = outcomes(Request("GET", path))
    assert (theirs.status, ours.status) == (200, 404)


@pytest.mark.parametrize("path", ["/ping%0Ax", "/%0Aping", "/number/1%0A2", "/ping%0A%0A"])
def test_a_newline_elsewhere_matches_as_under_fastapi(path: str) -> None:
    theirs, ours = outcomes(Request("GET", path))
    assert (theirs.status, ours.status) == (404, 404)


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


def test_a_long_list_of_errors_is_cut_on_the_wire() -> None:
    body = json.dumps(["x"] * 500).encode()
    theirs, ours = outcomes(Request("POST", "/numbers", headers=JSON, chunks=(body,)))
    assert (theirs.status, ours.status) == (422, 422)
    assert len(json.loads(theirs.body)["detail"]) == 500
    shown = json.loads(ours.body)["detail"]
    assert shown[:100] == json.loads(theirs.body)["detail"][:100]
    assert len(shown) <= 101


def test_a_list_of_errors_of_the_usual_length_is_fastapis() -> None:
    body = json.dumps(["x"] * 100).encode()
    theirs, ours = outcomes(Request("POST", "/numbers", headers=JSON, chunks=(body,)))
    assert ours == theirs
