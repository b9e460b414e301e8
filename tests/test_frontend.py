"""`frontend()`: static files behind every other route (`ferroapi._routing.frontend`)."""

import email.message
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferroapi import APIRouter, Depends, FastAPI, HTTPException, Response
from ferroapi._routing.frontend import (
    _frontend_path_specificity,
    _is_frontend_navigation_request,
    _iter_accept_media_types,
    _join_frontend_paths,
    _normalize_frontend_path,
    _path_below,
)
from ferroapi.testclient import TestClient

NAVIGATION = {"accept": "text/html"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    for name in ("index.html", "404.html", "app.js", "guide/index.html"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    return tmp_path


def client_of(directory: Path, path: str = "/", **options: Any) -> TestClient:
    app = FastAPI()
    app.get("/api")(lambda: "api")
    app.frontend(path, directory=directory, **options)
    return TestClient(app, follow_redirects=False)


# Paths.


@pytest.mark.parametrize(("path", "message"), [("", "cannot be empty"), ("app", "must start with '/'")])
def test_path_that_is_none_is_refused(path: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        FastAPI().frontend(path, directory=tmp_path)


@pytest.mark.parametrize(
    ("prefix", "path", "joined"), [("", "/", "/"), ("", "/a", "/a"), ("/p", "/", "/p"), ("/p", "/a", "/p/a")]
)
def test_paths_join(prefix: str, path: str, joined: str) -> None:
    assert _join_frontend_paths(prefix, path) == joined


@pytest.mark.parametrize(
    ("path", "route_path", "below"),
    [("/", "/a/b", "a/b"), ("/a", "/a", ""), ("/a", "/a/b", "b"), ("/a", "/ab", None), ("/a", "/", None)],
)
def test_path_below(path: str, route_path: str, below: str | None) -> None:
    assert _path_below(path, route_path) == below


def test_specificity_grows_with_the_path() -> None:
    assert _normalize_frontend_path("/a//") == "/a"
    assert _frontend_path_specificity("/") == 0 < _frontend_path_specificity("/a") < _frontend_path_specificity("/a/b")


# Files and fallbacks.


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/app.js", 200, "app.js"),
        ("HEAD", "/app.js", 200, ""),
        ("GET", "/", 200, "index.html"),
        ("GET", "/guide/", 200, "guide/index.html"),
        ("GET", "/missing", 404, "404.html"),
        ("POST", "/app.js", 405, '{"detail":"Method Not Allowed"}'),
        ("POST", "/missing", 404, '{"detail":"Not Found"}'),
        ("GET", "/api", 200, '"api"'),
        ("POST", "/api", 405, '{"detail":"Method Not Allowed"}'),
        ("GET", "/%00", 404, '{"detail":"Not Found"}'),
        ("GET", "/" + "a" * 300, 404, '{"detail":"Not Found"}'),
        ("GET", "/..%2f..%2fetc/passwd", 404, "404.html"),
    ],
)
def test_frontend_answers(built: Path, method: str, path: str, status: int, text: str) -> None:
    response = client_of(built).request(method, path)
    assert (response.status_code, response.text) == (status, text)


def test_directory_redirects_to_its_slash(built: Path) -> None:
    response = client_of(built).get("/guide")
    assert (response.status_code, response.headers["location"]) == (307, "http://testserver/guide/")


@pytest.mark.parametrize(
    ("fallback", "headers", "status", "text"),
    [
        ("404.html", NAVIGATION, 404, "404.html"),
        ("index.html", NAVIGATION, 200, "index.html"),
        ("index.html", {"accept": "*/*"}, 404, None),
        (None, NAVIGATION, 404, None),
        ("auto", NAVIGATION, 404, "404.html"),
    ],
)
def test_fallback(built: Path, fallback: Any, headers: dict[str, str], status: int, text: str | None) -> None:
    response = client_of(built, fallback=fallback).get("/route", headers=headers)
    assert response.status_code == status
    assert response.text == (text or '{"detail":"Not Found"}')


def test_auto_falls_back_to_the_index_without_a_404_page(built: Path) -> None:
    (built / "404.html").unlink()
    assert client_of(built).get("/route", headers=NAVIGATION).text == "index.html"


def test_missing_directory_and_fallback_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(RuntimeError, match=r"does not exist\. Resolved absolute path"):
        FastAPI().frontend("/", directory=missing)
    with pytest.raises(RuntimeError, match=r"Frontend fallback file '404.html' does not exist"):
        FastAPI().frontend("/", directory=tmp_path, fallback="404.html")
    with pytest.raises(AssertionError, match="fallback must be"):
        FastAPI().frontend("/", directory=tmp_path, fallback="other")  # type: ignore[arg-type]
    monkeypatch.setenv("FASTAPI_ENV", "development")
    with pytest.warns(UserWarning, match="does not exist") as caught:
        FastAPI().frontend("/", directory=missing)
    assert caught[0].filename == __file__


# Which frontend, and what surrounds it.


def test_most_specific_frontend_wins_through_includes(tmp_path: Path) -> None:
    for name in ("root", "deep"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(name)
    router = APIRouter()
    router.frontend("/deep", directory=tmp_path / "deep")
    app = FastAPI()
    app.frontend("/", directory=tmp_path / "root")
    app.include_router(router, prefix="/p")
    client = TestClient(app)
    assert [client.get(path).text for path in ("/", "/p/deep/")] == ["root", "deep"]


def test_dependencies_guard_a_frontend(built: Path) -> None:
    closed: list[str] = []

    def guard(response: Response, key: str = "") -> Any:
        if not key:
            raise HTTPException(status_code=401)
        response.headers["x-guard"] = key
        yield
        closed.append(key)

    app = FastAPI()
    router = APIRouter(dependencies=[Depends(guard)])
    router.frontend("/ui", directory=built)
    app.include_router(router, prefix="/p")
    client = TestClient(app)
    assert client.get("/p/ui/app.js").status_code == 401
    response = client.get("/p/ui/app.js", params={"key": "k"})
    assert (response.text, response.headers["x-guard"], closed) == ("app.js", "k", ["k"])


# Accept headers.


def reference(accept: str) -> list[tuple[str, float]]:
    """Read the header as the email package does, one message for each item."""
    found = []
    for item in accept.split(","):
        message = email.message.Message()
        message["content-type"] = item.strip()
        quality = message.get_param("q")
        try:
            value = float(quality) if isinstance(quality, str) else 1.0
        except ValueError:
            value = 1.0
        found.append((message.get_content_type(), value))
    return found


words = st.sampled_from(["text/html", "TEXT/HTML", "application/xhtml+xml", "*/*", "text", " text/html "])
parameters = st.sampled_from(["", ";q=0", "; q=0.5", ";Q=0", ";v=b3;q=0", ";q=x", ';x="a;b";q=0', ";q"])


@given(st.lists(st.tuples(words, parameters), max_size=4))
def test_accept_header_is_read_as_by_the_email_package(items: list[tuple[str, str]]) -> None:
    accept = ",".join(word + more for word, more in items)
    pages = {"text/html", "application/xhtml+xml"}
    expected = any(kind in pages and quality != 0 for kind, quality in reference(accept))
    scope = {"type": "http", "headers": [(b"accept", accept.encode())]}
    assert _is_frontend_navigation_request(scope) == expected


@pytest.mark.parametrize(
    "parameters",
    [";" * 64_000, ";" + " " * 64_000, "; " * 32_000, ';a="' * 16_000, ';a="' + "\\" * 64_000, ";a=" * 20_000],
)
def test_accept_header_is_read_in_linear_time(parameters: str) -> None:
    started = time.process_time()
    assert sum(1 for _ in _iter_accept_media_types("text/html;q=0" + parameters + ",a" * 30_000)) == 30_001
    # About 10 ms on a machine that does nothing else; what is quadratic takes seconds.
    assert time.process_time() - started < 0.2
