"""Talks to the example service and prints every answer as JSON: `python conversation.py <folder> <framework>`.

Run by `test_both_frameworks.py`, once for each framework. Nothing here asserts what an answer should be.
"""

import importlib
import json
import os
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

NOW = datetime(2100, 1, 1, 12, 30, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DRILL = {
    "name": "Cordless drill",
    "description": "18 V — “the loud one”",
    "daily_price": 450,
    "condition": "good",
    "tags": ["power", "18v", "power"],
    "size": {"width": 20, "height": 22.5, "depth": 8},
    "parts": [{"name": "Battery", "count": 2, "size": {"width": 7, "height": 6, "depth": 11}}, {"name": "Case"}],
}
MANUAL = bytes(range(256)) * 40
JSON = {"Content-Type": "application/json"}


@dataclass
class Ask:
    """One request; `who` is whose token goes along."""

    title: str
    method: str
    url: str
    who: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


def ask(title: str, method: str, url: str, who: str | None = None, /, **options: Any) -> Ask:
    return Ask(title, method, url, who, options.pop("headers", {}), options)


def part(range_: str, **headers: str) -> Ask:
    headers |= {"Range": range_}
    return ask(f"download {range_} {sorted(headers)}", "GET", "/items/1/files/1", headers=headers)


LOGINS = (
    ask("sign up", "POST", "/users", json={"username": "grace", "password": "nanosecond", "full_name": "Grace H."}),
    ask("sign up again", "POST", "/users", json={"username": "grace", "password": "nanosecond"}),
    ask("sign up with nothing right", "POST", "/users", json={"username": "G!", "password": "short", "full_name": 7}),
    ask("sign up without a body", "POST", "/users"),
    ask("log in", "POST", "/token", data={"username": "grace", "password": "nanosecond"}),
    ask("log in, wrong password", "POST", "/token", data={"username": "grace", "password": "microsecond"}),
    ask("log in, nobody", "POST", "/token", data={"username": "nobody", "password": "nanosecond"}),
    ask("log in, half a form", "POST", "/token", data={"username": "grace", "grant_type": "code"}),
    ask("log in with JSON", "POST", "/token", json={"username": "grace", "password": "nanosecond"}),
)

CONVERSATION = (
    ask("home", "GET", "/"),
    ask("documentation", "GET", "/docs"),
    ask("other documentation", "GET", "/redoc"),
    ask("schema", "GET", "/openapi.json"),
    ask("me", "GET", "/users/me", "grace"),
    ask("me, no token", "GET", "/users/me"),
    ask("me, broken token", "GET", "/users/me", headers={"Authorization": "Bearer abc"}),
    ask("me, other scheme", "GET", "/users/me", headers={"Authorization": "Basic YTpi"}),
    ask("me, old token", "GET", "/users/me", "grace, long ago"),
    ask("me, gone", "GET", "/users/me", "nobody"),
    ask("users", "GET", "/admin/users", "ada"),
    ask("users, not an administrator", "GET", "/admin/users", "grace"),
    ask("add", "POST", "/items", "grace", json=DRILL),
    ask("add the least", "POST", "/items", "ada", json={"name": "Ladder", "daily_price": "0"}),
    ask("add, no token", "POST", "/items", json=DRILL),
    ask("add, nested errors", "POST", "/items", "ada", json=DRILL | {"parts": [{"size": {"width": -1}}, 3, {}]}),
    ask("add, list errors", "POST", "/items", "ada", json=DRILL | {"tags": ["Ä", "ok", "b" * 30], "condition": "x"}),
    ask("add, the model's own rule", "POST", "/items", "ada", json=DRILL | {"condition": "worn", "daily_price": 5000}),
    ask("add, a list", "POST", "/items", "ada", json=[DRILL]),
    ask("add, null", "POST", "/items", "ada", content=b"null", headers=JSON),
    ask("add, broken JSON", "POST", "/items", "ada", content=b'{"name": "Saw",', headers=JSON),
    ask("add, not UTF-8", "POST", "/items", "ada", content=b'{"name": "S\xe4ge"}', headers=JSON),
    ask("add, no number", "POST", "/items", "ada", content=b'{"name": "Saw", "daily_price": NaN}', headers=JSON),
    ask(
        "add, a lone surrogate", "POST", "/items", "ada", content=rb'{"name": "\ud800", "daily_price": 1}', headers=JSON
    ),
    ask("add, a huge number", "POST", "/items", "ada", json=DRILL | {"daily_price": 10**40}),
    ask(
        "add as plain text", "POST", "/items", "ada", content=b'{"name": "Saw"}', headers={"Content-Type": "text/plain"}
    ),
    ask("add without a type", "POST", "/items", "ada", content=b'{"name": "Saw"}'),
    ask("list", "GET", "/items", "ada"),
    ask("list, no token", "GET", "/items"),
    ask("list, filtered", "GET", "/items?text=dr&condition=good&condition=new&order=created_at&limit=1", "ada"),
    ask("list, nothing", "GET", "/items?offset=2", "ada"),
    ask("list, wrong filters", "GET", "/items?limit=0&order=size&condition=x&offset=a&page=1&text=%FF", "ada"),
    ask("redirect", "GET", "/items/", "ada", follow_redirects=False),
    ask("redirect, with a query", "POST", "/users/?a=b%20c", follow_redirects=False),
    ask("read", "GET", "/items/1", "ada"),
    ask("read, missing", "GET", "/items/99", "ada"),
    ask("read, no number", "GET", "/items/one", "ada"),
    ask("read, too large a number", "GET", f"/items/{2**63}", "ada"),
    ask("change", "PATCH", "/items/1", "grace", json={"daily_price": 400}),
    ask("change, not yours", "PATCH", "/items/1", "ada", json={"daily_price": 1}),
    ask("change nothing", "PATCH", "/items/1", "grace", json={}),
    ask("change, wrong", "PATCH", "/items/1", "grace", json={"condition": None}),
    ask("head", "HEAD", "/items/1", "ada"),
    ask("options", "OPTIONS", "/items/1", "ada"),
    ask("wrong method", "PUT", "/items", "ada", json=DRILL),
    ask("strange method", "BREW", "/items/1"),
    ask("no such route", "GET", "/tools"),
    ask(
        "upload",
        "POST",
        "/items/1/files",
        "grace",
        files={"file": ("Anleitung für alle.pdf", MANUAL, "application/pdf")},
    ),
    ask("upload, a path", "POST", "/items/1/files", "grace", files={"file": ("../../etc/passwd", b"", "text/plain")}),
    ask("upload, not yours", "POST", "/items/1/files", "ada", files={"file": ("a.txt", b"a")}),
    ask("upload, too large", "POST", "/items/1/files", "grace", files={"file": ("a.txt", b"a" * 1_000_001)}),
    ask("upload, no file", "POST", "/items/1/files", "grace", data={"file": "text"}),
    ask("upload, wrong field", "POST", "/items/1/files", "grace", files={"photo": ("a.txt", b"a")}),
    ask("upload, JSON", "POST", "/items/1/files", "grace", json={"file": "a"}),
    ask(
        "upload, broken",
        "POST",
        "/items/1/files",
        "grace",
        content=b"--x",
        headers={"Content-Type": "multipart/form-data"},
    ),
    ask("download", "GET", "/items/1/files/1"),
    ask("download, empty", "GET", "/items/1/files/2"),
    ask("download, missing", "GET", "/items/1/files/9"),
    part("bytes=0-9"),
    part("bytes=-5"),
    part("bytes=10000-"),
    part("bytes=0-1,5-6"),
    part("bytes=99999-"),
    part("lines=1-2"),
    part("bytes=0-1", **{"If-Range": '"other"'}),
    ask("read with files", "GET", "/items/1", "grace"),
    ask(
        "preflight",
        "OPTIONS",
        "/items",
        headers={
            "Origin": "http://localhost:5173",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    ),
    ask(
        "preflight, refused",
        "OPTIONS",
        "/items",
        headers={"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "PUT"},
    ),
    ask("another origin", "GET", "/items/1", "ada", headers={"Origin": "http://localhost:5173"}),
    ask("another origin, an error", "GET", "/items/99", "ada", headers={"Origin": "http://localhost:5173"}),
    ask("events", "GET", "/events"),
    ask("remove, not yours", "DELETE", "/items/1", "ada"),
    ask("remove", "DELETE", "/items/1", "grace"),
    ask("remove again", "DELETE", "/items/1", "grace"),
    ask("download, removed", "GET", "/items/1/files/1"),
    ask("events after", "GET", "/events"),
)


def hold(folder: str, framework: str) -> list[dict[str, Any]]:
    """Ask everything of the service in the folder, and return what it said."""
    sys.path.insert(0, folder)
    testclient = importlib.import_module(f"{framework}.testclient")
    websockets = importlib.import_module(f"{framework}.websockets")
    app = importlib.import_module("service.main").app
    security = importlib.import_module("service.security")
    settings = importlib.import_module("service.config").settings
    assert type(app).__module__ == f"{framework}.applications"

    app.dependency_overrides[security.get_now] = lambda: NOW
    tokens = {name: security.make_token(name, NOW) for name in ("ada", "grace", "nobody")}
    tokens["grace, long ago"] = security.make_token("grace", LONG_AGO)
    answers: list[dict[str, Any]] = []

    def note(title: str, **answer: Any) -> None:
        answers.append({"title": title, **answer})

    def talk(client: Any, question: Ask) -> None:
        headers = {"X-Request-ID": f"request {len(answers)}"} | question.headers
        if question.who is not None:
            headers["Authorization"] = f"Bearer {tokens[question.who]}"
        answer = client.request(question.method, question.url, headers=headers, **question.options)
        for stored in (settings.data / "files").glob("*"):
            os.utime(stored, (NOW.timestamp(), NOW.timestamp()))  # what Last-Modified and ETag are made of
        note(
            question.title,
            status=answer.status_code,
            headers=[[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers.raw],
            body=answer.content.decode("latin-1"),
        )

    def refuse(client: Any, title: str, url: str) -> None:
        try:
            with client.websocket_connect(url):
                note(title, accepted=True)
        except websockets.WebSocketDisconnect as closed:
            note(title, code=closed.code, reason=closed.reason)

    with testclient.TestClient(app, raise_server_exceptions=False) as client:
        for question in LOGINS:
            talk(client, question)
        with (
            client.websocket_connect(f"/events/live?token={tokens['ada']}") as ada,
            client.websocket_connect(f"/events/live?token={tokens['grace']}") as grace,
        ):
            for question in CONVERSATION:
                talk(client, question)
            grace.send_text("who has a ladder? …")
            for name, socket in (("ada", ada), ("grace", grace)):
                for _ in range(4):
                    note(f"{name} hears", message=socket.receive())
        refuse(client, "listen without a token", "/events/live")
        refuse(client, "listen with a broken token", "/events/live?token=abc")
        refuse(client, "listen with an old token", f"/events/live?token={tokens['grace, long ago']}")
        refuse(client, "listen to nothing", "/events/dead")
        talk(client, ask("events at the end", "GET", "/events"))
    return answers


if __name__ == "__main__":
    # The only other randomness in an answer: the boundary between several ranges of a file.
    with patch("starlette.responses.token_hex", lambda size: "b" * size * 2):
        print(json.dumps(hold(*sys.argv[1:])))
