"""`ferroapi.openapi.models` against FastAPI's own models."""

import importlib
import logging
import sys
from typing import Any

import fastapi.openapi.models as reference
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from ferroapi.openapi import models

MODEL_NAMES = [
    name
    for name, value in vars(reference).items()
    if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel
]


@pytest.mark.parametrize("name", MODEL_NAMES)
@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_models_have_the_schema_of_fastapis(name: str, mode: Any) -> None:
    """The JSON schema covers names, aliases, order, constraints, defaults, extras and descriptions."""
    ours, theirs = getattr(models, name), getattr(reference, name)
    assert repr(ours.model_json_schema(mode=mode)) == repr(theirs.model_json_schema(mode=mode))
    assert [base.__name__ for base in ours.__mro__] == [base.__name__ for base in theirs.__mro__]


@pytest.mark.parametrize("name", ["SecuritySchemeType", "APIKeyIn", "ParameterInType"])
def test_enums_have_the_members_of_fastapis(name: str) -> None:
    assert [(member.name, member.value) for member in getattr(models, name)] == [
        (member.name, member.value) for member in getattr(reference, name)
    ]


@pytest.mark.parametrize("name", ["SchemaType", "SchemaOrBool", "SecurityScheme", "Example"])
def test_type_aliases_have_the_schema_of_fastapis(name: str) -> None:
    ours, theirs = (TypeAdapter(getattr(module, name)).json_schema() for module in (models, reference))
    assert repr(ours) == repr(theirs)


def test_unknown_keys_are_kept_except_in_a_reference() -> None:
    assert models.Contact.model_validate({"x-team": 1}).model_dump(exclude_none=True) == {"x-team": 1}
    assert models.Reference.model_validate({"$ref": "#/a", "x": 1}).model_dump() == {"ref": "#/a"}


def test_schema_example_warns_that_it_is_deprecated() -> None:
    schema = models.Schema(example=1)
    with pytest.warns(DeprecationWarning, match=r"^Deprecated in OpenAPI 3\.1\.0 .* Use examples instead\.$"):
        assert schema.example == 1


def test_contact_email_is_checked() -> None:
    with pytest.raises(ValidationError):
        models.Contact(email="nobody")


def test_contact_email_is_text_without_email_validator(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "email_validator", None)
    monkeypatch.delitem(sys.modules, "ferroapi.openapi.models")
    # import_module also rebinds the package's attribute; monkeypatch puts the old module back.
    monkeypatch.setattr("ferroapi.openapi.models", models)
    without_validator = importlib.import_module("ferroapi.openapi.models")
    with caplog.at_level(logging.WARNING):
        contact = without_validator.Contact(email="nobody")
    assert contact.email == "nobody"
    assert caplog.messages == [
        "email-validator not installed, email fields will be treated as str.\n"
        "To install, run: pip install email-validator"
    ]
    assert without_validator.Contact.model_json_schema()["properties"]["email"]["anyOf"][0] == {
        "type": "string",
        "format": "email",
    }
