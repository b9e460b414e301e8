"""Responses of text classes: the driver writes them as the class would, or leaves them to the class."""

import asyncio
import importlib
from typing import Annotated, Any, Literal, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, PlainSerializer, StringConstraints
from starlette.responses import HTMLResponse, PlainTextResponse

from .asgi import Answer, ask, http_scope

FRAMEWORKS = ("fastapi", "ferroapi")


class Shouting(PlainTextResponse):
    def render(self, content: Any) -> bytes:
        return super().render(content).upper()


class Text(str):
    __slots__ = ()


CONTENTS = ["", "plain", "é\u2028\U0001f600", "\ud800", Text("of a subclass"), b"bytes", 1, 1.5, None, True, ["list"]]


def answered(framework: str, content: Any, response_class: Any, **options: Any) -> Answer | tuple[str, str]:
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI(openapi_url=None)

    def respond(response: fastapi.Response, tasks: fastapi.BackgroundTasks) -> Any:
        response.headers["x-added"] = "1"
        if status := options.get("sets_status"):
            response.status_code = status
        return content

    async def respond_on_the_loop(response: fastapi.Response, tasks: fastapi.BackgroundTasks) -> Any:
        return respond(response, tasks)

    app.get(
        "/",
        response_class=response_class,
        response_model=options.get("model"),
        status_code=options.get("status_code"),
        response_model_exclude=options.get("exclude"),
    )(respond if options.get("is_in_thread") else respond_on_the_loop)
    try:
        return asyncio.run(ask_twice(app))
    except Exception as error:
        return type(error).__name__, str(error).partition("\n\n")[0]


async def ask_twice(app: Any) -> Answer:
    await ask(app, http_scope("/"))
    return await ask(app, http_scope("/"))


@pytest.mark.parametrize("response_class", [PlainTextResponse, HTMLResponse, Shouting])
@pytest.mark.parametrize("content", CONTENTS, ids=repr)
def test_text_response_is_the_one_of_its_class(content: Any, response_class: Any) -> None:
    ours, theirs = (answered(framework, content, response_class) for framework in ("ferroapi", "fastapi"))
    assert ours == theirs


MODELS = {
    "str": str,
    "constrained": Annotated[str, Field(max_length=5)],
    "stripped": Annotated[str, StringConstraints(strip_whitespace=True)],
    "validated": Annotated[str, AfterValidator(str.upper)],
    "serialized": Annotated[str, PlainSerializer(str.title)],
    "optional": str | None,
    "literal": Literal["plain"],
    "new type": NewType("Name", str),
    "bytes": bytes,
    "any": Any,
}


@pytest.mark.parametrize("is_in_thread", [False, True], ids=["loop", "thread"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("content", CONTENTS, ids=repr)
def test_text_that_a_model_has_validated_is_the_one_of_its_class(content: Any, model: str, is_in_thread: bool) -> None:
    """A model that is `str` alone changes no text; any other, and any other content, is for the model to say."""
    ours, theirs = (
        answered(framework, content, HTMLResponse, model=MODELS[model], is_in_thread=is_in_thread)
        for framework in ("ferroapi", "fastapi")
    )
    assert ours == theirs


@pytest.mark.parametrize("exclude", [{"x"}, {"x": {"y"}}, "x", 1], ids=repr)
def test_fields_that_a_text_has_not_are_excluded_as_by_fastapi(exclude: Any) -> None:
    ours, theirs = (answered(name, "text", PlainTextResponse, model=str, exclude=exclude) for name in FRAMEWORKS)
    assert ours == theirs


@pytest.mark.parametrize(
    ("place", "status"),
    [*(("status_code", status) for status in (200, 201, 404)), *(("sets_status", s) for s in (201, 204, 205, 304))],
)
def test_text_response_has_the_status_it_is_given(place: str, status: int) -> None:
    ours, theirs = (answered(name, "text", PlainTextResponse, **{place: status}) for name in ("ferroapi", "fastapi"))
    assert ours == theirs


@given(st.text())
def test_any_text_is_written_as_fastapi_writes_it(text: str) -> None:
    ours, theirs = (answered(framework, text, HTMLResponse) for framework in ("ferroapi", "fastapi"))
    assert ours == theirs


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("charset", "latin-1"), ("media_type", "text/x-own"), ("media_type", None), ("media_type", "text/a; charset=b")],
)
def test_class_attribute_set_before_the_first_request_counts(
    monkeypatch: pytest.MonkeyPatch, attribute: str, value: Any
) -> None:
    monkeypatch.setattr(PlainTextResponse, attribute, value)
    ours, theirs = (answered(framework, "é", PlainTextResponse) for framework in FRAMEWORKS)
    assert ours == theirs
