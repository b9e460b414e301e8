"""Credentials that the engine reads without calling their scheme are those of FastAPI, natively and in handler mode."""

import base64
import importlib
from collections.abc import Callable
from typing import Annotated, Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from ferroapi.routing import APIRoute

from ..core.asgi import Answer, answers, http_scope, websocket_scope

SCHEMES: dict[str, Callable[..., Any]] = {
    "bearer": lambda security, **common: security.HTTPBearer(**common),
    "digest": lambda security, **common: security.HTTPDigest(**common),
    "basic": lambda security, **common: security.HTTPBasic(**common),
    "basic-realm": lambda security, **common: security.HTTPBasic(realm='the "house"', **common),
    "any": lambda security, **common: security.http.HTTPBase(scheme="other", **common),
    "oauth2": lambda security, **common: security.OAuth2(**common),
    "password": lambda security, **common: security.OAuth2PasswordBearer(tokenUrl="t", **common),
    "openid": lambda security, **common: security.OpenIdConnect(openIdConnectUrl="/o", **common),
    "key-header": lambda security, **common: security.APIKeyHeader(name="authorization", **common),
}
OPTIONS = [(name, auto_error) for name in SCHEMES for auto_error in (True, False)]


class WrappedRoute(APIRoute):
    """A route in handler mode, as packages make it."""

    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def wrapped(request: Any) -> Any:
            return await handler(request)

        return wrapped


def build(framework: str, received: list[Any], **router: Any) -> Any:
    """An application with a route for each scheme."""
    package = importlib.import_module(framework)
    security = importlib.import_module(f"{framework}.security")
    app = package.FastAPI(openapi_url=None)
    routes = package.APIRouter(**router)
    for name, auto_error in OPTIONS:
        scheme = SCHEMES[name](security, auto_error=auto_error)

        async def endpoint(credentials: Annotated[Any, package.Depends(scheme)]) -> Any:
            received.append((type(credentials).__name__, repr(credentials)))
            return credentials

        routes.add_api_route(f"/{name}/{auto_error}", endpoint)
    app.include_router(routes)
    return app


@pytest.fixture(scope="module")
def applications() -> dict[str, tuple[Any, list[Any]]]:
    received: dict[str, list[Any]] = {"fastapi": [], "native": [], "handler": []}
    apps = {
        "fastapi": build("fastapi", received["fastapi"]),
        "native": build("ferroapi", received["native"]),
        "handler": build("ferroapi", received["handler"], route_class=WrappedRoute),
    }
    for mode in ("native", "handler"):
        assert {row.mode for row in apps[mode].explain()} == {mode}
    return {mode: (app, received[mode]) for mode, app in apps.items()}


def seen(application: tuple[Any, list[Any]], headers: list[tuple[bytes, bytes]]) -> tuple[list[Answer], list[Any]]:
    app, received = application
    received.clear()
    scopes = [http_scope(f"/{name}/{auto_error}", headers=headers) for name, auto_error in OPTIONS]
    return answers(app, scopes), list(received)


def assert_equal(applications: dict[str, tuple[Any, list[Any]]], headers: list[tuple[bytes, bytes]]) -> None:
    expected = seen(applications["fastapi"], headers)
    for mode in ("native", "handler"):
        assert seen(applications[mode], headers) == expected, mode


WORDS = st.sampled_from([b"Bearer", b"bEARER", b"Basic", b"basic", b"Digest", b"DIGEST", b"Other", b"b\xe9", b""])
SPACES = st.sampled_from([b" ", b"  ", b"\t", b" \x85\xa0\x1c", b"", b" \x00"])
PAIRS = st.binary(max_size=9) | st.sampled_from([b"user:pass", b"u:p:q", b":", b"nocolon", b"\xe9:x", b"a:\x00\n"])
BASE64 = st.builds(base64.b64encode, PAIRS) | st.builds(base64.urlsafe_b64encode, PAIRS)


def _spoil(encoded: bytes, at: int, insert: bytes, cut: int) -> bytes:
    """The same with something put into it, and something taken from its end."""
    return (encoded[:at] + insert + encoded[at:])[: cut or None]


SPOILT = st.builds(
    _spoil,
    BASE64,
    st.integers(0, 8),
    st.sampled_from([b"=", b"==", b"\n", b" ", b"-", b"_", b"!", b"\xe9", b"A", b"AA", b""]),
    st.integers(-3, 0),
)
REST = BASE64 | SPOILT | st.binary(max_size=10) | st.text("ABab01+/=", max_size=9).map(str.encode)
VALUES = st.binary(max_size=12) | st.builds(lambda *parts: b"".join(parts), WORDS, SPACES, REST, SPACES)
NAMES = st.sampled_from([b"authorization", b"authorization", b"Authorization", b"authorization "])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=2))
@example([])
@example([(b"authorization", b"")])
@example([(b"authorization", b"Bearer")])
@example([(b"authorization", b"Bearer ")])
@example([(b"authorization", b"bearer  two words ")])
@example([(b"authorization", b"Bearer \xa0\xe9\x85")])
@example([(b"authorization", b"b\xe9arer t")])
@example([(b"authorization", b" Bearer t")])
@example([(b"authorization", b"Bearer\tt")])
@example([(b"authorization", b"Bearer one"), (b"authorization", b"Basic dTpw")])
@example([(b"authorization", b"Basic")])
@example([(b"authorization", b"Basic " + base64.b64encode(b"user:pass:word"))])
@example([(b"authorization", b"Basic " + base64.b64encode(b"user"))])
@example([(b"authorization", b"Basic " + base64.b64encode(b"\xc3\xa9:p"))])
@example([(b"authorization", b"Basic dTpw=")])
@example([(b"authorization", b"Basic dTpwcA")])
@example([(b"authorization", b"Basic dTpwcA==dTpw")])
@example([(b"authorization", b"Basic dT\npw")])
@example([(b"authorization", b"Basic dTpx===")])
@example([(b"authorization", b"Basic Oh==")])
@example([(b"authorization", b"Basic dTo_")])
@example([(b"authorization", b"Basic d\xe9pw")])
def test_credentials_are_those_of_fastapi(
    applications: dict[str, tuple[Any, list[Any]]], headers: list[tuple[bytes, bytes]]
) -> None:
    assert_equal(applications, headers)


def served(app: Any, path: str, value: bytes) -> tuple[int | None, bytes]:
    answer = answers(app, [http_scope(path, headers=[(b"authorization", value)])])[0]
    return answer.status, answer.body


@pytest.mark.parametrize("name", ["bearer", "digest", "basic", "any", "oauth2", "password", "openid", "key-header"])
def test_replaced_call_of_a_scheme_is_noticed_while_it_serves(name: str) -> None:
    async def other(self: Any, request: HTTPConnection) -> str:
        return f"{type(request).__name__} {sorted(request.headers)}"

    for framework in ("fastapi", "ferroapi"):
        app = build(framework, [])
        scheme = SCHEMES[name](importlib.import_module(f"{framework}.security"))
        served(app, f"/{name}/True", b"Bearer t")
        with mock.patch.object(type(scheme), "__call__", other):
            assert served(app, f"/{name}/True", b"Bearer t") == (200, b"\"Request ['authorization']\""), framework
        served(app, f"/{name}/True", b"Bearer t")


@pytest.mark.parametrize(
    ("path", "value", "replaced"),
    [
        ("/bearer/True", b"Bearer t", "security.http.HTTPAuthorizationCredentials"),
        ("/any/True", b"Bearer t", "security.http.get_authorization_scheme_param"),
        ("/basic/True", b"Basic dTpw", "security.http.HTTPBasicCredentials"),
        ("/basic/True", b"Basic dTpw", "security.http.b64decode"),
        ("/password/True", b"Bearer t", "security.oauth2.get_authorization_scheme_param"),
        ("/key-header/True", b"Bearer t", "security.api_key.APIKeyBase.check_api_key"),
    ],
)
def test_replaced_name_that_a_scheme_looks_up_is_noticed_while_it_serves(
    path: str, value: bytes, replaced: str
) -> None:
    for framework in ("fastapi", "ferroapi"):
        app = build(framework, [])
        assert served(app, path, value)[0] == 200
        with mock.patch(f"{framework}.{replaced}", side_effect=LookupError("noticed")):
            answer = answers(app, [http_scope(path, headers=[(b"authorization", value)])])[0]
            assert answer.raised == "LookupError: noticed", framework
        assert served(app, path, value)[0] == 200


def test_replaced_refusal_of_an_instance_is_the_one_that_is_raised() -> None:
    found = []
    for framework in ("fastapi", "ferroapi"):
        package = importlib.import_module(framework)
        scheme = importlib.import_module(f"{framework}.security").HTTPBearer()
        scheme.make_not_authenticated_error = lambda package=package: package.HTTPException(418)
        app = package.FastAPI(openapi_url=None)

        async def endpoint(token: Annotated[Any, package.Depends(scheme)]) -> Any:
            return token.credentials

        app.add_api_route("/", endpoint)
        found.append([served(app, "/", value) for value in (b"Bearer t", b"Basic t")])
        scheme.auto_error = False
        found[-1].append(served(app, "/", b"Basic t"))
    assert found[0] == found[1]
    assert [status for status, _ in found[1]] == [200, 418, 500]


def test_credentials_of_a_websocket_are_those_of_fastapi() -> None:
    found = []
    for framework in ("fastapi", "ferroapi"):
        package = importlib.import_module(framework)
        scheme = importlib.import_module(f"{framework}.security").HTTPBearer()
        app = package.FastAPI(openapi_url=None)

        async def endpoint(websocket: package.WebSocket, token: Annotated[Any, package.Depends(scheme)]) -> None:
            await websocket.accept()
            await websocket.send_text(repr(token))

        app.add_api_websocket_route("/", endpoint)
        headers = [[(b"authorization", b"bearer t ")], [(b"authorization", b"bearer")]]
        found.append(answers(app, [websocket_scope("/", headers=each) for each in headers]))
    assert found[0] == found[1]
