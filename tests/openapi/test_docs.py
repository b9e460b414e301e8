"""`ferroapi.openapi.docs` against FastAPI's pages, byte for byte."""

import json
from typing import Any

import fastapi.openapi.docs as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import HTMLResponse

from ferroapi.openapi import docs

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXT, children, max_size=3),
    max_leaves=6,
)
SETTINGS = st.none() | st.dictionaries(TEXT, JSON, max_size=4)
PAGE = {"openapi_url": TEXT, "title": TEXT}
ADDRESSES = ("swagger_js_url", "swagger_css_url", "swagger_favicon_url")


def same_page(function: str, arguments: dict[str, Any]) -> None:
    ours: HTMLResponse = getattr(docs, function)(**arguments)
    theirs: HTMLResponse = getattr(reference, function)(**arguments)
    assert ours.body == theirs.body
    assert ours.raw_headers == theirs.raw_headers


@given(
    st.fixed_dictionaries(
        PAGE,
        optional={
            **dict.fromkeys(ADDRESSES, TEXT),
            "oauth2_redirect_url": st.none() | TEXT,
            "init_oauth": SETTINGS,
            "swagger_ui_parameters": SETTINGS,
        },
    )
)
def test_swagger_ui_page_equals_fastapis(arguments: dict[str, Any]) -> None:
    same_page("get_swagger_ui_html", arguments)


@given(
    st.fixed_dictionaries(
        PAGE, optional={"redoc_js_url": TEXT, "redoc_favicon_url": TEXT, "with_google_fonts": st.booleans()}
    )
)
def test_redoc_page_equals_fastapis(arguments: dict[str, Any]) -> None:
    same_page("get_redoc_html", arguments)


def test_oauth2_redirect_page_equals_fastapis() -> None:
    same_page("get_swagger_ui_oauth2_redirect_html", {})


@pytest.mark.parametrize("title", ["$title", "${settings}", "{title}", "%s", "\\1"])
def test_swagger_ui_title_is_never_a_placeholder(title: str) -> None:
    same_page("get_swagger_ui_html", {"openapi_url": "/openapi.json", "title": title})


def test_swagger_ui_default_parameters_are_fastapis_and_can_be_changed_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert docs.swagger_ui_default_parameters == reference.swagger_ui_default_parameters
    monkeypatch.setitem(docs.swagger_ui_default_parameters, "filter", True)
    page = docs.get_swagger_ui_html(openapi_url="/openapi.json", title="t").body
    assert b'"filter": true,\n' in bytes(page)


@given(JSON)
def test_html_safe_json_is_json_that_cannot_leave_a_script(value: Any) -> None:
    text = docs._html_safe_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&")
