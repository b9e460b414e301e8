"""What is edited after the first request is seen by the next one where FastAPI sees it, and only there."""

import asyncio
import json
import re
import warnings
from typing import Any

import fastapi.routing
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from . import edited
from .asgi import Answer, ask, http_scope
from .edited import EDITS, Edit, Edited

pytestmark = [
    pytest.mark.timeout(3600),  # Each example builds two applications: minutes on a busy machine.
    # FastAPI keeps what nobody awaits until it is collected.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited"),
]

BODY = json.dumps({"number": 4, "text": "x", "one": {"number": 5}, "item": {"number": 6}, "late": {}}).encode()
HEADERS = (
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
    (b"x-token", b"token"),
    (b"x-key", b"key"),
    (b"x-other", b"other"),
    (b"x-late", b"late"),
    (b"cookie", b"track=7"),
)
REQUESTS = (
    ("GET", "/get/3", b"limit=8&number=9&page=2&needed=1&tags=a&tags=b&size=6"),
    ("GET", "/get/3", b""),
    ("PUT", "/get/3", b""),
    ("GET", "/moved/3", b"needed=1"),
    ("POST", "/post", b"needed=1"),
    ("PATCH", "/post", b"needed=1"),
    ("POST", "/embedded", b"needed=1"),
)

Round = list[tuple[Answer, list[str]]]


async def _serve(application: Edited) -> Round:
    found = []
    for method, path, query in REQUESTS:
        application.log.clear()
        scope = http_scope(application.prefix + path, method, query, HEADERS)
        answer = await ask(application.app, scope, BODY)
        # The order in which sets are written.
        answer.headers = sorted((name, b",".join(sorted(value.split(b", ")))) for name, value in answer.headers)
        answer.raised = answer.raised and re.sub(" at 0x[0-9a-f]+", "", answer.raised)
        found.append((answer, application.log.copy()))
    return found


def rounds(framework: str, via: str, edits: list[list[tuple[Edit, int, int]]]) -> list[Round]:
    """Return the answers before any edit, and after each group of them."""
    # It is kept by the address of an endpoint, which may be that of one of another application by now.
    fastapi.routing._endpoint_context_cache.clear()
    application = Edited(framework, via)

    async def serve() -> list[Round]:
        found = [await _serve(application)]
        for group in edits:
            edited.edit(application, group)
            found.append(await _serve(application))
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.run(serve())


@pytest.mark.parametrize("via", ["own", "included"])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("change", EDITS, ids=lambda change: change.__qualname__.partition(".")[0])
def test_an_edit_is_seen_as_by_fastapi(change: Edit, place: int, via: str) -> None:
    edits = [[(change, operation, place) for operation in (0, 1, 2)]]
    assert rounds("ferroapi", via, edits) == rounds("fastapi", via, edits)


@pytest.mark.parametrize("via", ["own", "included"])
@pytest.mark.parametrize("name", ["methods", "path_regex", "param_convertors", "endpoint", "app"])
def test_deleted_attribute_is_missed_as_by_fastapi(name: str, via: str) -> None:
    def delete(edited: Edited, state: Any, node: Any) -> None:
        delattr(state, name)

    ours, theirs = (rounds(framework, via, [[(delete, 0, 0)]]) for framework in ("ferroapi", "fastapi"))
    assert ours == theirs
    # The application of a view has its endpoint already.
    assert (theirs[1] != theirs[0]) is ((name, via) != ("endpoint", "included"))


@pytest.mark.parametrize("via", ["own", "included"])
@pytest.mark.parametrize("value", [None, 0, {}], ids=repr)
def test_convertors_that_are_none_fail_their_route_at_each_request(value: Any, via: str) -> None:
    def assign(edited: Edited, state: Any, node: Any) -> None:
        state.param_convertors = value

    ours, theirs = (rounds(framework, via, [[(assign, 0, 0)], []]) for framework in ("ferroapi", "fastapi"))
    assert ours == theirs
    assert all(after[0][0].raised for after in theirs[1:])


OF_ROUTES = (edited.other_app, edited.other_path, edited.other_name_of_path, edited.no_route)


@pytest.mark.parametrize("change", sorted({*EDITS} - {*OF_ROUTES}, key=EDITS.index), ids=lambda change: change.__name__)
def test_an_edit_of_a_graph_leaves_it_to_the_engine(change: Edit) -> None:
    application = Edited("ferroapi", "own")
    edited.edit(application, [(change, operation, place) for operation in (0, 1, 2) for place in (0, 1, 2)])
    assert {row.mode for row in application.app.explain()} == {"native"}


GROUPS = st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=3)


@given(st.sampled_from(["own", "included"]), st.lists(GROUPS, min_size=1, max_size=4))
def test_drawn_edits_are_seen_as_by_fastapi(via: str, edits: list[list[tuple[Edit, int, int]]]) -> None:
    ours, theirs = rounds("ferroapi", via, edits), rounds("fastapi", via, edits)
    for number, (own, expected) in enumerate(zip(ours, theirs, strict=True)):
        note(
            f"after {number} groups of edits: {[[each[0].__qualname__ for each in group] for group in edits[:number]]}"
        )
        assert own == expected
