"""`ferroapi.security` against FastAPI's: the model in the document, the credentials and the refusals."""

import base64
import inspect
from typing import Any

import anyio
import fastapi.security as reference
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from ferroapi import exceptions, security
from ferroapi.security import HTTPBasic, HTTPBearer, OAuth2PasswordRequestForm, SecurityScopes
from ferroapi.security.http import HTTPBase
from ferroapi.security.utils import get_authorization_scheme_param

FLOW = {"tokenUrl": "t"}
SCHEMES: list[tuple[str, dict[str, Any]]] = [
    ("APIKeyQuery", {"name": "key"}),
    ("APIKeyHeader", {"name": "key"}),
    ("APIKeyCookie", {"name": "key"}),
    ("http.HTTPBase", {"scheme": "other"}),
    ("HTTPBasic", {}),
    ("HTTPBasic", {"realm": "simple"}),
    ("HTTPBearer", {"bearerFormat": "JWT"}),
    ("HTTPDigest", {}),
    ("OAuth2", {}),
    ("OAuth2", {"flows": {"password": FLOW}}),
    ("OAuth2PasswordBearer", {"tokenUrl": "t", "refreshUrl": "r", "scopes": {"a": "b"}}),
    ("OAuth2AuthorizationCodeBearer", {"authorizationUrl": "a", "tokenUrl": "t"}),
    ("OpenIdConnect", {"openIdConnectUrl": "/openid"}),
]
REQUESTS = [
    *[(b"authorization", value) for value in [b"", b"Bearer", b"Bearer ", b"Bearer token", b"bearer  two words "]],
    *[(b"authorization", value) for value in [b"Digest d", b"other x", b"Basic", b"Basic !", b"Basic \xe9", b"basic "]],
    *[(b"authorization", b"Basic " + base64.b64encode(raw)) for raw in [b"user:pass:word", b"user", b":", b"\xe9:"]],
    *[(b"key", b"secret"), (b"key", b""), (b"cookie", b"key=secret"), (b"cookie", b"key="), (b"x", b"y")],
]


def find(package: Any, path: str) -> Any:
    for name in path.split("."):
        package = getattr(package, name)
    return package


def connection(header: tuple[bytes, bytes], query: bytes = b"") -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [header], "query_string": query})


def outcome(scheme: Any, request: HTTPConnection) -> Any:
    async def call() -> Any:
        return await scheme(request)

    try:
        return repr(anyio.run(call))
    except HTTPException as error:
        is_own_class = type(error) is not HTTPException
        return error.status_code, error.detail, error.headers, is_own_class, type(error.__cause__)


@pytest.mark.parametrize(("name", "arguments"), SCHEMES)
@pytest.mark.parametrize("common", [{}, {"scheme_name": "S", "description": "D", "auto_error": False}])
def test_scheme_description_equals_reference(name: str, arguments: Any, common: Any) -> None:
    ours = find(security, name)(**arguments, **common)
    theirs = find(reference, name)(**arguments, **common)
    assert ours.model.model_dump(mode="json", by_alias=True) == theirs.model.model_dump(mode="json", by_alias=True)
    assert (ours.scheme_name, ours.auto_error) == (theirs.scheme_name, theirs.auto_error)


@pytest.mark.parametrize(("name", "arguments"), SCHEMES)
@pytest.mark.parametrize("auto_error", [True, False])
def test_scheme_answers_equal_reference(name: str, arguments: Any, auto_error: bool) -> None:
    ours = find(security, name)(**arguments, auto_error=auto_error)
    theirs = find(reference, name)(**arguments, auto_error=auto_error)
    requests = [connection(header) for header in REQUESTS]
    requests += [connection((b"x", b"y"), query) for query in (b"key=secret", b"key=")]
    for request in requests:
        assert outcome(ours, request) == outcome(theirs, request), request.scope


@pytest.mark.parametrize("name", [*dict.fromkeys(name for name, _ in SCHEMES)])
def test_scheme_signature_equals_reference(name: str) -> None:
    def parameters(callable_: Any) -> list[Any]:
        return [
            (parameter.name, parameter.kind, repr(parameter.default))
            for parameter in inspect.signature(callable_).parameters.values()
        ]

    assert parameters(find(security, name)) == parameters(find(reference, name))


def test_http_scheme_raises_the_package_exception() -> None:
    assert isinstance(HTTPBasic().make_not_authenticated_error(), exceptions.HTTPException)


def test_scheme_subclass_may_answer_differently() -> None:
    class Forbidding(HTTPBearer):
        def make_not_authenticated_error(self) -> exceptions.HTTPException:
            return exceptions.HTTPException(status_code=403)

    assert outcome(Forbidding(), connection((b"x", b"y")))[0] == 403
    assert Forbidding().scheme_name == "Forbidding"


def test_http_base_subclass_may_change_the_challenge() -> None:
    class Custom(HTTPBase):
        def make_authenticate_headers(self) -> dict[str, str]:
            return {"WWW-Authenticate": "Custom"}

    assert outcome(Custom(scheme="custom"), connection((b"x", b"y")))[2] == {"WWW-Authenticate": "Custom"}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  a b ", " x"])
def test_authorization_split_equals_reference(header: str | None) -> None:
    from fastapi.security.utils import get_authorization_scheme_param as split

    assert get_authorization_scheme_param(header) == split(header)


def test_password_form_splits_its_scopes() -> None:
    form = OAuth2PasswordRequestForm(username="u", password="p", scope="a  b")
    assert (form.scopes, form.grant_type, form.client_id, form.client_secret) == (["a", "b"], None, None, None)


@pytest.mark.parametrize(("given", "scopes", "text"), [(None, [], ""), (["a", "b"], ["a", "b"], "a b")])
def test_security_scopes_are_joined(given: list[str] | None, scopes: list[str], text: str) -> None:
    security_scopes = SecurityScopes(given)
    assert (security_scopes.scopes, security_scopes.scope_str) == (scopes, text)


@pytest.mark.parametrize("form", ["OAuth2PasswordRequestForm", "OAuth2PasswordRequestFormStrict"])
def test_password_form_document_equals_reference(form: str) -> None:
    from typing import Annotated

    import fastapi

    import ferroapi

    def document(package: Any, form_class: Any) -> Any:
        app = package.FastAPI()

        @app.post("/token")  # type: ignore[untyped-decorator]
        def token(form: Annotated[form_class, package.Depends()]) -> None: ...  # pyright: ignore[reportInvalidTypeForm]

        return app.openapi()

    import ferroapi.security
    import fastapi.security  # isort: skip

    ours = document(ferroapi, getattr(ferroapi.security, form))
    assert ours == document(fastapi, getattr(fastapi.security, form))


@pytest.mark.parametrize("name", ["http.HTTPBase", "HTTPBasic", "HTTPBearer", "HTTPDigest", "OAuth2PasswordBearer"])
def test_nothing_that_takes_the_header_apart_gives_credentials_without_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replacement of `get_authorization_scheme_param` may find credentials in no header at all."""
    found = []
    for package in (reference, security):
        for module in (package.http, package.oauth2):
            monkeypatch.setattr(module, "get_authorization_scheme_param", lambda header: (name[4:].lower(), "dTpw"))
        options = next(given for each, given in SCHEMES if each == name)
        scheme: Any = package.http.HTTPBase if name == "http.HTTPBase" else getattr(package, name)
        request = HTTPConnection({"type": "http", "headers": []})
        found.append(anyio.run(scheme(**options, auto_error=False), request))
    assert found == [None, None]
