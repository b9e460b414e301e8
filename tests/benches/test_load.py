"""Both frameworks hold TechEmpower's rules in the load set, on each database; a server that breaks one is refused."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

import ferroapi

fastapi = pytest.importorskip("fastapi")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benches.cases.exchange import Request, ask  # noqa: E402
from benches.http.database import (  # noqa: E402
    FORTUNES,
    Database,
    postgresql_database,
    postgresql_programs,
    sqlite_database,
)
from benches.load import rules  # noqa: E402
from benches.load.application import make_application  # noqa: E402
from benches.load.page import ADDED  # noqa: E402
from benches.load.rules import Answer, BrokenRule  # noqa: E402
from benches.load.run import CASES  # noqa: E402
from benches.load.store import clamped, store_at  # noqa: E402

from benches import report  # noqa: E402


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    # A socket's path has 107 bytes at most; pytest's own folders can be longer.
    with tempfile.TemporaryDirectory(prefix="load") as name:
        folder = Path(name)
        if request.param == "SQLite":
            with sqlite_database(folder) as made:
                yield made
            return
        programs = postgresql_programs()
        if programs is None:
            pytest.skip("PostgreSQL is not installed on this machine")
        with postgresql_database(programs, folder, core=0) as made:
            yield made


@pytest.fixture(
    scope="module",
    params=[(ferroapi, False), (fastapi, False), (ferroapi, True)],
    ids=["ferroapi", "fastapi", "tuned store"],
)
def asked(request: pytest.FixtureRequest, database: Database) -> Iterator[rules.Ask]:
    """The application, started, with the headers that a server adds."""
    framework, is_tuned = request.param
    app = make_application(framework, store_at(database.url, is_tuned))
    with asyncio.Runner() as runner:
        started = _lifespan(app)
        runner.run(started.__aenter__())

        def ask_application(path: str) -> Answer:
            path, _, query = path.partition("?")
            answer = runner.run(ask(app, Request(path, query)))
            assert answer.status is not None
            headers = {name.decode(): value.decode() for name, value in answer.headers}
            return Answer(answer.status, {"server": "test", "date": formatdate(usegmt=True)} | headers, answer.body)

        yield ask_application
        runner.run(started.__aexit__(None, None, None))


@asynccontextmanager
async def _lifespan(app: Any) -> Any:
    received: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, received.get, sent.put))
    await received.put({"type": "lifespan.startup"})
    assert (await sent.get())["type"] == "lifespan.startup.complete"
    yield
    await received.put({"type": "lifespan.shutdown"})
    assert (await sent.get())["type"] == "lifespan.shutdown.complete"
    await task


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_application_holds_the_rules(name: str, asked: rules.Ask, database: Database) -> None:
    rules.check(name, asked, database)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_paths_that_are_loaded_answer(case: Any, asked: rules.Ask) -> None:
    assert asked(case.path).status == 200


@pytest.mark.parametrize(("queries", "number"), [(text, number) for text, number in rules.COUNTS if text is not None])
def test_queries_are_clamped(queries: str, number: int) -> None:
    assert clamped(queries) == number


def _good(body: bytes = b"{}", media_type: str = "application/json", **headers: str) -> Answer:
    given = {
        "server": "test",
        "date": formatdate(usegmt=True),
        "content-type": media_type,
        "content-length": str(len(body)),
    }
    return Answer(200, given | {name.replace("_", "-"): value for name, value in headers.items()}, body)


def _without(answer: Answer, header: str) -> Answer:
    return replace(answer, headers={name: value for name, value in answer.headers.items() if name != header})


@pytest.mark.parametrize(
    "answer",
    [
        replace(_good(), status=500),
        *(_without(_good(), name) for name in ("server", "date", "content-type", "content-length")),
        _good(date="Mon, 01 Jan 2024 00:00:00 GMT"),
        _good(content_length="3"),
        _good(content_type="text/plain"),
    ],
)
def test_headers_that_break_a_rule_are_refused(answer: Answer) -> None:
    rules.check_headers(_good(), "application/json")
    with pytest.raises(BrokenRule):
        rules.check_headers(answer, "application/json")


def test_a_page_must_name_its_encoding() -> None:
    rules.check_headers(_good(media_type="text/html; charset=utf-8"), "text/html")
    with pytest.raises(BrokenRule, match="media type"):
        rules.check_headers(_good(media_type="text/html"), "text/html")


def test_a_date_that_stands_still_is_refused() -> None:
    still = _good()
    with pytest.raises(BrokenRule, match="Date moves"):
        rules.check_date_moves(lambda path: still, "/json", seconds=0.2)
    dates = iter(("one", "one", "two"))
    rules.check_date_moves(lambda path: _good(date=next(dates)), "/json")


@pytest.mark.parametrize("body", [b'{"message":"Hello"}', b'{"message":"Hello, World!","more":1}', b"[]"])
def test_another_message_is_refused(body: bytes) -> None:
    with pytest.raises(BrokenRule, match="message"):
        rules.check_json(lambda path: _good(body))


def test_another_text_is_refused() -> None:
    rules.check_plaintext(lambda path: _good(b"Hello, World!", "text/plain"))
    with pytest.raises(BrokenRule, match="text"):
        rules.check_plaintext(lambda path: _good(b"Hello, World!\n", "text/plain"))


@pytest.mark.parametrize(
    "world",
    [
        [1, 2],
        {"id": 1},
        {"id": 1, "randomnumber": 7},
        {"id": "1", "randomNumber": 7},
        {"id": 1, "randomNumber": 7.0},
        {"id": 1, "randomNumber": 0},
        {"id": 10_001, "randomNumber": 7},
        {"id": 1, "randomNumber": 8},
    ],
    ids=str,
)
def test_a_row_that_is_not_the_tables_is_refused(world: Any) -> None:
    rules.check_world({"id": 1, "randomNumber": 7}, {1: 7})
    with pytest.raises(BrokenRule):
        rules.check_world(world, {1: 7})


def _table() -> Database:
    return Database("none", "0", "", lambda: dict.fromkeys(range(1, 10_001), 1))


def _worlds(choose: Callable[[int], list[int]], number: Callable[[str], int] = clamped) -> rules.Ask:
    def answer(path: str) -> Answer:
        _, _, queries = path.partition("queries=")
        rows = [{"id": key, "randomNumber": 1} for key in choose(number(queries))]
        return _good(json.dumps(rows[0] if path == "/db" else rows).encode())

    return answer


def test_rows_that_are_always_the_same_are_refused() -> None:
    first = _worlds(lambda number: [1] * number)
    for check in (rules.check_single, rules.check_multiple, rules.check_cached):
        with pytest.raises(BrokenRule, match="at random"):
            check(first, _table())


@pytest.mark.parametrize("limit", [lambda queries: int(queries or 1), lambda queries: min(clamped(queries), 499)])
def test_queries_that_are_not_clamped_are_refused(limit: Callable[[str], int]) -> None:
    def number(queries: str) -> int:
        return limit(queries if queries.lstrip("-").isdigit() else "1")

    with pytest.raises(BrokenRule, match="queries="):
        rules.check_multiple(_worlds(lambda wanted: list(range(1, wanted + 1)), number), _table())


def test_rows_read_with_one_statement_are_refused() -> None:
    counts = iter([(0, 0), (len(rules.COUNTS), 0)])
    database = replace(_table(), statements=lambda: next(counts))
    with pytest.raises(BrokenRule, match="a statement each"):
        rules.check_multiple(_worlds(lambda wanted: list(range(1, wanted + 1))), database)


def test_updates_that_are_not_written_are_refused() -> None:
    answer = _worlds(lambda wanted: list(range(1, wanted + 1)))
    with pytest.raises(BrokenRule, match="anew"):
        rules.check_updates(answer, _table())
    with pytest.raises(BrokenRule, match="numbers of the answer"):
        rules.check_updates(answer, replace(_table(), worlds=lambda: dict.fromkeys(range(1, 10_001), 2)))


def _page(*rows: tuple[int, str], escaped: bool = True) -> Answer:
    def text(message: str) -> str:
        return message.replace("<", "&lt;").replace(">", "&gt;") if escaped else message

    cells = "".join(f"<tr><td>{key}</td><td>{text(message)}</td></tr>" for key, message in rows)
    page = (
        "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>"
        f"<tr><th>id</th><th>message</th></tr>{cells}</table></body></html>"
    )
    return _good(page.encode(), "text/html; charset=utf-8")


def test_a_page_of_other_fortunes_is_refused() -> None:
    rows = sorted((*FORTUNES, ADDED), key=lambda fortune: fortune[1])
    rules.check_fortunes(lambda path: _page(*rows))
    for wrong in (rows[1:], sorted(rows), sorted(FORTUNES, key=lambda fortune: fortune[1]), [*rows, (13, "more")]):
        with pytest.raises(BrokenRule, match="this order"):
            rules.check_fortunes(lambda path, wrong=wrong: _page(*wrong))
    with pytest.raises(BrokenRule, match="escaped"):
        rules.check_fortunes(lambda path: _page(*rows, escaped=False))


def test_the_table_has_a_column_for_each_framework() -> None:
    row = {
        "name": "json",
        "figures": {"ferroapi": 9000.0, "fastapi": 3000.0, "litestar": 4000.0},
        "ratio": "3x FastAPI",
    }
    table = report.section_table("load", {"database": "PostgreSQL 15", "rows": [row]})
    assert table.splitlines()[-1] == "| json | 9,000 | 3,000 | 4,000 | 3x FastAPI |"
    assert "PostgreSQL 15" in table and "| ferroapi | FastAPI | litestar | ratio |" in table
