from typing import Any

import fastapi.responses
import pytest
from starlette.responses import JSONResponse

from ferroapi import responses
from ferroapi.exceptions import FastAPIDeprecationWarning

CONTENT = {"text": "é", "number": 1}


@pytest.mark.parametrize("name", ["ORJSONResponse", "UJSONResponse"])
def test_deprecated_response_warns_and_renders_as_fastapis(name: str) -> None:
    with pytest.warns(FastAPIDeprecationWarning) as ours:
        answer = getattr(responses, name)(CONTENT)
    with pytest.warns(fastapi.exceptions.FastAPIDeprecationWarning) as theirs:
        expected = getattr(fastapi.responses, name)(CONTENT)
    assert answer.body == expected.body
    assert str(ours[0].message) == str(theirs[0].message)
    assert ours[0].filename == theirs[0].filename


@pytest.mark.parametrize(("name", "package"), [("ORJSONResponse", "orjson"), ("UJSONResponse", "ujson")])
def test_deprecated_response_says_which_package_is_missing(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, package, None)
    with (
        pytest.warns(FastAPIDeprecationWarning),
        pytest.raises(AssertionError, match=f"{package} must be installed to use {name}"),
    ):
        getattr(responses, name)(CONTENT)


def test_optional_package_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.delitem(vars(responses), "orjson", raising=False)
    monkeypatch.setattr("importlib.import_module", missing)
    assert responses.__getattr__("orjson") is None
    monkeypatch.delitem(vars(responses), "orjson", raising=False)


def test_module_has_no_other_late_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        responses.missing  # noqa: B018


def test_deprecated_responses_are_json_responses() -> None:
    assert issubclass(responses.ORJSONResponse, JSONResponse)
    assert responses.JSONResponse is JSONResponse
