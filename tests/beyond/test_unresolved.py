"""A name that is not found turns an `Annotated` into a query parameter; that is said where it is declared."""

import importlib
import warnings
from typing import Annotated, Any

import pytest

from ferroapi import Depends


def number() -> int:
    return 1


def declare(framework: str, annotation: Any) -> list[str]:
    """Return the warnings at the declaration of an endpoint whose parameter has this annotation."""
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI(openapi_url=None)

    def endpoint(value: Any) -> None: ...

    endpoint.__annotations__["value"] = annotation
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        app.get("/")(endpoint)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    "annotation", ["Annotated[int, Depends(not_found)]", "Annotated[NotFound, Depends(number)]"], ids=["marker", "type"]
)
def test_an_annotated_that_cannot_be_evaluated_is_warned_of(annotation: str) -> None:
    assert declare("fastapi", annotation) == []

    [message] = declare("ferroapi", annotation)

    assert annotation in message
    assert "query string" in message


@pytest.mark.parametrize(
    "annotation", ["Annotated[int, Depends(number)]", "int", "NotFound", int, Annotated[int, Depends(number)]]
)
def test_any_other_annotation_is_not_warned_of(annotation: Any) -> None:
    assert declare("ferroapi", annotation) == []
