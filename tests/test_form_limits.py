"""`ferroapi._form_limits`: what is accepted as limits, and how they travel to the code that reads them."""

import importlib
from typing import Any

import pytest
from pydantic import ValidationError

from ferroapi._form_limits import _validate_form_limits

from .core.asgi import answers, http_scope


@pytest.mark.parametrize("limits", [{}, {"max_files": 0}, {"max_fields": 1, "max_files": 2, "max_part_size": 3}])
def test_form_limits_are_returned(limits: Any) -> None:
    assert _validate_form_limits(limits) == limits


def test_form_limits_none_is_no_limits() -> None:
    assert _validate_form_limits(None) == {}


@pytest.mark.parametrize("limits", [{"max_files": -1}, {"max_files": "1"}, {"max_files": True}, {"max_size": 1}, 3])
def test_form_limits_wrong_value_is_refused(limits: Any) -> None:
    with pytest.raises(ValidationError):
        _validate_form_limits(limits)


def notes_of(framework: str, **options: Any) -> list[Any]:
    """Ask routes around included routers, and a mounted application, what `scope["fastapi"]` says of the way there."""
    package = importlib.import_module(framework)
    seen: list[Any] = []

    def note(request: Any) -> None:
        notes = request.scope.get("fastapi", "no dictionary")
        seen.append((request.url.path, sorted(notes), notes.get("form_limits") if isinstance(notes, dict) else None))

    async def endpoint(request: package.Request) -> None:
        note(request)

    async def missing(request: Any, error: Exception) -> Any:
        note(request)
        return package.responses.JSONResponse(None)

    inner = package.APIRouter(form_limits={"max_files": 2})
    inner.add_api_route("/inner", endpoint)
    router = package.APIRouter()
    router.add_api_route("/middle", endpoint)
    router.include_router(inner)
    mounted = package.FastAPI(form_limits={"max_part_size": 7})
    mounted.add_api_route("/mounted", endpoint)
    mounted.add_api_route("/form", form_of(package), methods=["POST"])
    app = package.FastAPI(exception_handlers={404: missing, 405: missing}, **options)
    app.add_api_route("/before", endpoint)
    app.include_router(router, prefix="/router")
    app.include_router(router, prefix="/limited", form_limits={"max_fields": 1, "max_files": 1})
    app.add_api_route("/after", endpoint)
    app.mount("/mount", mounted)
    paths = ["/before", "/after", "/router/middle", "/router/inner", "/limited/middle", "/limited/inner"]
    paths += ["/mount/mounted", "/nowhere", "/router/nowhere"]
    scopes = [http_scope(path) for path in paths] + [http_scope("/before", "POST")]
    statuses = [answer.status for answer in answers(app, [scope for scope in scopes for _ in range(2)])]
    encoded = ((b"content-type", b"application/x-www-form-urlencoded"),)
    forms = answers(app, [http_scope("/mount/form", "POST", headers=encoded)] * 2, b"a=1&b=2")
    return [seen, statuses, [(answer.status, answer.body) for answer in forms]]


def form_of(package: Any) -> Any:
    def endpoint(a: str = package.Form(), b: str = package.Form()) -> str:
        return a + b

    return endpoint


@pytest.mark.parametrize("options", [{}, {"form_limits": {"max_fields": 1}}, {"form_limits": {"max_files": 9}}])
def test_limits_on_the_way_are_in_the_scope_and_bind_mounted_applications(options: dict[str, Any]) -> None:
    assert notes_of("ferroapi", **options) == notes_of("fastapi", **options)


def test_each_request_has_limits_of_its_own() -> None:
    app = importlib.import_module("ferroapi").FastAPI(form_limits={"max_fields": 1})
    seen: list[Any] = []
    app.add_api_route("/", lambda: None)
    for _ in range(2):
        scope = http_scope("/")
        answers(app, [scope])
        seen.append(dict(scope["fastapi"]["form_limits"]))
        scope["fastapi"]["form_limits"]["max_fields"] = 5
    assert seen == [{"max_fields": 1}] * 2
