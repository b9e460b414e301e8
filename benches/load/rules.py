"""What an answer of the load set must be, by TechEmpower's rules; each is asked before a load is measured.

Source: TechEmpower's "Framework Benchmarks" project, general test requirements and those of each test type.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import Any

from benches.http.database import FORTUNES, Database
from benches.load.page import ADDED
from benches.load.store import WORLDS

# What `queries` may be, and the number of rows that it means; None leaves it out.
COUNTS: tuple[tuple[str | None, int], ...] = (
    (None, 1),
    ("", 1),
    ("foo", 1),
    ("0", 1),
    ("-1", 1),
    ("1", 1),
    ("2", 2),
    ("20", 20),
    ("500", 500),
    ("501", 500),
)


@dataclass(frozen=True)
class Answer:
    """What a server answered; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Ask = Callable[[str], Answer]


class BrokenRule(RuntimeError):
    """A server breaks a rule; the text names the rule and shows what was answered."""


def _hold(is_held: bool, rule: str, seen: object) -> None:
    if not is_held:
        raise BrokenRule(f"{rule}: {str(seen)[:300]}")


def check_headers(answer: Answer, media_type: str) -> None:
    """An answer is 200, names its server, its time, its media type and its length.

    Raises:
        BrokenRule: it does not.
    """
    headers = answer.headers
    _hold(answer.status == 200, "the status is 200", f"{answer.status} {answer.body!r}")
    _hold(bool(headers.get("server")), "there is a Server header", headers)
    _hold("date" in headers, "there is a Date header", headers)
    age = abs(datetime.now(UTC) - parsedate_to_datetime(headers["date"]))
    _hold(age < timedelta(seconds=10), "Date is now", headers["date"])
    given = re.sub(r"\s", "", headers.get("content-type", "")).lower()
    allowed = {media_type, f"{media_type};charset=utf-8"} - ({"text/html"} if media_type == "text/html" else set())
    _hold(given in allowed, f"the media type is {media_type}", headers)
    has_length = headers.get("content-length") == str(len(answer.body)) or "transfer-encoding" in headers
    _hold(has_length, "the length is given", headers)


def check_date_moves(ask: Ask, path: str, seconds: float = 2.5) -> None:
    """Date is the time of the answer and not of another.

    Raises:
        BrokenRule: it stands still for so long.
    """
    first, until = ask(path).headers.get("date"), time.monotonic() + seconds
    while ask(path).headers.get("date") == first:
        _hold(time.monotonic() < until, "Date moves", first)
        time.sleep(0.1)


def check_json(ask: Ask) -> None:
    """An object with one key, made on the request.

    Raises:
        BrokenRule: the answer is another.
    """
    answer = ask("/json")
    check_headers(answer, "application/json")
    _hold(json.loads(answer.body) == {"message": "Hello, World!"}, "the message is greeted", answer.body)


def check_plaintext(ask: Ask) -> None:
    """These bytes and no others.

    Raises:
        BrokenRule: the answer is another.
    """
    answer = ask("/plaintext")
    check_headers(answer, "text/plain")
    _hold(answer.body == b"Hello, World!", "the text is greeted", answer.body)


def check_world(world: Any, rows: Mapping[int, int] | None) -> None:
    """A row is an object of two whole numbers; with `rows`, it is one of them.

    Raises:
        BrokenRule: it is something else.
    """
    is_object = isinstance(world, dict) and set(world) == {"id", "randomNumber"}
    _hold(is_object and all(type(each) is int for each in world.values()), "a row has two numbers", world)
    in_range = 1 <= world["id"] <= WORLDS and 1 <= world["randomNumber"] <= WORLDS
    _hold(in_range, f"both numbers are from 1 to {WORLDS}", world)
    if rows is not None:
        _hold(rows[world["id"]] == world["randomNumber"], "the row is the table's", world)


def check_single(ask: Ask, database: Database) -> None:
    """One row, another on each request, read by a statement of its own.

    Raises:
        BrokenRule: it is not.
    """
    rows, before = database.worlds(), _statements(database)
    keys = set()
    for _ in range(10):
        answer = ask("/db")
        check_headers(answer, "application/json")
        world = json.loads(answer.body)
        check_world(world, rows)
        keys.add(world["id"])
    _hold(len(keys) > 1, "rows are picked at random", keys)
    _check_reads(database, before, 10)


def _statements(database: Database) -> tuple[int, int]:
    return database.statements() if database.statements else (0, 0)


def _check_reads(database: Database, before: tuple[int, int], least: int) -> None:
    if database.statements:
        reads = database.statements()[0] - before[0]
        _hold(reads >= least, f"{least} rows are read with a statement each", reads)


def _many(ask: Ask, path: str, queries: str | None, number: int, rows: Mapping[int, int] | None) -> dict[int, int]:
    """Ask for rows; return them by their keys."""
    answer = ask(path if queries is None else f"{path}?queries={queries}")
    check_headers(answer, "application/json")
    worlds = json.loads(answer.body)
    _hold(isinstance(worlds, list) and len(worlds) == number, f"queries={queries} is {number} rows", answer.body)
    for world in worlds:
        check_world(world, rows)
    keys = [world["id"] for world in worlds]
    _hold(number == 1 or len(set(keys)) > 1, "rows are picked at random", keys)
    return {world["id"]: world["randomNumber"] for world in worlds}


def check_multiple(ask: Ask, database: Database) -> None:
    """So many rows, each read by a statement of its own.

    Raises:
        BrokenRule: it is not.
    """
    rows, before = database.worlds(), _statements(database)
    for queries, number in COUNTS:
        _many(ask, "/queries", queries, number, rows)
    _check_reads(database, before, sum(number for _, number in COUNTS))


def check_cached(ask: Ask, database: Database) -> None:
    """So many rows as they were when the server started.

    Raises:
        BrokenRule: it is not.
    """
    for queries, number in COUNTS:
        _many(ask, "/cached-queries", queries, number, None)
    first, second = (_many(ask, "/cached-queries", "500", 500, None) for _ in range(2))
    both = first.keys() & second.keys()
    _hold(all(first[key] == second[key] for key in both), "a row in the cache stays as it is", both)


class _Tokens(HTMLParser):
    """A page as a list of tags and texts; how a character is written in it makes no difference."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tokens: list[str] = []

    def handle_decl(self, decl: str) -> None:
        self.tokens.append(f"<!{decl.lower()}>")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tokens.append(f"<{tag} {attrs}>" if attrs else f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self.tokens.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.tokens.append(data)


def _tokens(page: str) -> list[str]:
    parser = _Tokens()
    parser.feed(page)
    parser.close()
    return parser.tokens


def expected_page() -> list[str]:
    """Return the tags and texts of the page of fortunes, in order."""
    rows = []
    for key, message in sorted((*FORTUNES, ADDED), key=lambda fortune: fortune[1]):
        rows += ["<tr>", "<td>", str(key), "</td>", "<td>", message, "</td>", "</tr>"]
    opening = _tokens(
        "<!doctype html><html><head><title>Fortunes</title></head><body><table><tr><th>id</th><th>message</th></tr>"
    )
    return [*opening, *rows, *_tokens("</table></body></html>")]


def check_fortunes(ask: Ask) -> None:
    """A page of all rows and the added one, in the order of their messages, with nothing that a browser would run.

    Raises:
        BrokenRule: it is not.
    """
    answer = ask("/fortunes")
    check_headers(answer, "text/html")
    page = answer.body.decode()
    _hold("<script" not in page.lower(), "messages are escaped", page)
    _hold(_tokens(page) == expected_page(), "the page has these rows in this order", page)


def check_updates(ask: Ask, database: Database) -> None:
    """So many rows with other numbers, and the table has them afterwards.

    Raises:
        BrokenRule: it does not.
    """
    for queries, number in COUNTS:
        before, counted = database.worlds(), _statements(database)
        answered = _many(ask, "/updates", queries, number, None)
        after = database.worlds()
        _hold(len(answered) == number, "a row is updated once", answered)
        written = {key for key in before if before[key] != after[key]}
        _hold(written <= answered.keys(), "no other row is written", written - answered.keys())
        unlike = {key: after[key] for key in answered if after[key] != answered[key]}
        _hold(not unlike, "the table has the numbers of the answer", unlike)
        # One in ten thousand is drawn as what it was.
        _hold(len(written) >= 0.95 * number - 1, "numbers are drawn anew", len(written))
        _check_reads(database, counted, number)
        if database.statements:
            _hold(database.statements()[1] - counted[1] >= number, f"{number} rows are written", number)


def check(name: str, ask: Ask, database: Database) -> None:
    """Check a test type on a server.

    Raises:
        BrokenRule: one of its rules does not hold.
    """
    {
        "json": lambda: check_json(ask),
        "plaintext": lambda: check_plaintext(ask),
        "single query": lambda: check_single(ask, database),
        "multiple queries": lambda: check_multiple(ask, database),
        "cached queries": lambda: check_cached(ask, database),
        "fortunes": lambda: check_fortunes(ask),
        "updates": lambda: check_updates(ask, database),
    }[name]()
