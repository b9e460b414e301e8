"""A name that is not found turns an `Annotated` into a query parameter; that is said where it is declared."""

import importlib
from typing import Annotated, Any

import pytest

from ferroapi import Depends


def number() -> int:
    return 1


def declare(framework: str, annotation: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings at the declaration of an endpoint whose parameter has this annotation."""
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI(openapi_url=None)

    def endpoint(value: Any) -> None: ...

    endpoint.__annotations__["value"] = annotation
    caplog.clear()
    app.get("/")(endpoint)
    assert all(record.pathname == __file__ and record.levelname == "WARNING" for record in caplog.records)
    return caplog.messages


@pytest.mark.parametrize(
    "annotation", ["Annotated[int, Depends(not_found)]", "Annotated[NotFound, Depends(number)]"], ids=["marker", "type"]
)
def test_an_annotated_that_cannot_be_evaluated_is_warned_of(annotation: str, caplog: pytest.LogCaptureFixture) -> None:
    assert declare("fastapi", annotation, caplog) == []

    [message] = declare("ferroapi", annotation, caplog)

    assert annotation in message
    assert "query string" in message


@pytest.mark.parametrize(
    "annotation", ["Annotated[int, Depends(number)]", "int", "NotFound", int, Annotated[int, Depends(number)]]
)
def test_any_other_annotation_is_not_warned_of(annotation: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert declare("ferroapi", annotation, caplog) == []
