"""The schemas that are read off core schemas, beside those of pydantic's generator."""

import copy
import datetime
import json
import uuid
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator
from pydantic.dataclasses import dataclass

from ferroapi import FastAPI
from ferroapi._compat import ModelField, v2
from ferroapi.openapi import utils
from ferroapi.params import Body, Query
from ferroapi.utils import create_model_field


def documents(fields: Sequence[ModelField], *, separate: bool = True) -> tuple[Any, Any]:
    """Return what `get_definitions` says, and what it says when nothing counts as plain."""
    described = v2.get_definitions(fields=fields, model_name_map={}, separate_input_output_schemas=separate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(v2, "_describe_plain", lambda fields, *_: ({}, list(fields)))
        reference = v2.get_definitions(fields=fields, model_name_map={}, separate_input_output_schemas=separate)
    return described, reference


def is_left_to_pydantic(fields: Sequence[ModelField]) -> bool:
    return len(v2._describe_plain(fields, v2._PlainSchemas(), True)[1]) == len(fields)


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def assert_same(fields: Sequence[ModelField], *, separate: bool = True) -> None:
    described, reference = documents(fields, separate=separate)
    # pydantic lists the models that fields reach as fields of their own.
    asked = {key: schema for key, schema in reference[0].items() if key[0] in fields}
    found = {key: schema for key, schema in described[0].items() if key[0] in fields}
    # As texts: a default that is not a number is equal to nothing.
    assert sorted(text(each) for each in found.items()) == sorted(text(each) for each in asked.items())
    assert text(described[1]) == text(reference[1])
    assert list(described[1]) == list(reference[1])


class Leaf(BaseModel):
    """A leaf.\fHidden."""

    name: str
    weight: float = 1.5


class Branch(BaseModel):
    leaves: list[Leaf] = []
    best: Leaf | None = None
    only: Leaf
    named: dict[str, Leaf] = {}


class Tree(BaseModel):
    leaves: list[Leaf] = []
    best: Leaf | None = None
    only: Leaf
    children: dict[str, "Tree"] = {}


class Color(Enum):
    red = "red"


class Painted(BaseModel):
    color: Color
    leaf: Leaf


class Loop(BaseModel):
    painted: Painted | None = None
    back: "LoopBack | None" = None


class LoopBack(BaseModel):
    loop: Loop


class Constrained(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    count: int = Field(ge=0, lt=10, description="How many", examples=[1, 2])
    code: Annotated[str, Field(min_length=1, max_length=3, pattern="^a", title="The code")] = "a"
    kind: Literal["a", "b"] = "a"
    one: Literal[1]
    at: datetime.datetime | None = None
    on: datetime.date
    key: uuid.UUID
    items: list[int] = Field([], max_length=3)
    free: Any = None
    mapping: dict[str, Any] = {}
    renamed: int = Field(alias="newName", deprecated=True)
    made: list[str] = Field(default_factory=list)


class Hooked(BaseModel):
    value: int

    @field_validator("value")
    @classmethod
    def check(cls, value: int) -> int:
        return value


class Extra(BaseModel):
    model_config = ConfigDict(extra="forbid", title="Other")
    value: int


class Chosen(BaseModel):
    value: int = Field(validation_alias=AliasChoices("a", "b"))


@dataclass
class Record:
    leaf: Leaf
    value: int = 1


def another_leaf() -> type[BaseModel]:
    class Leaf(BaseModel):
        other: int

    return Leaf


MODELS: list[Any] = [
    Leaf,
    Branch,
    Tree,
    Painted,
    Loop,
    LoopBack,
    Constrained,
    Hooked,
    Extra,
    Chosen,
    Record,
    another_leaf(),
]
PLAIN_MODELS: list[Any] = [Leaf, Branch, Constrained]


@pytest.mark.parametrize("separate", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_model_has_pydantics_schema_in_both_modes(model: Any, separate: bool) -> None:
    fields = [
        create_model_field("body", model, field_info=Body(annotation=model)),
        create_model_field("response", model, mode="serialization"),
        create_model_field("many", list[model], mode="serialization"),
    ]
    assert_same(fields, separate=separate)


@pytest.mark.parametrize("model", PLAIN_MODELS)
def test_plain_model_is_described_without_the_generator(model: Any) -> None:
    field = create_model_field("response", model, mode="serialization")
    assert not is_left_to_pydantic([field])
    assert "_type_adapter" not in vars(field)


@pytest.mark.parametrize("model", [Tree, Painted, Loop, LoopBack, Extra, Chosen, Record])
def test_model_with_more_to_it_is_left_to_pydantic(model: Any) -> None:
    assert is_left_to_pydantic([create_model_field("response", model, mode="serialization")])


@given(st.lists(st.sampled_from(MODELS), min_size=1, max_size=8), st.randoms())
def test_any_mixture_of_models_has_pydantics_schemas(models: list[Any], random: Any) -> None:
    fields = [create_model_field("field", each, mode=random.choice(["validation", "serialization"])) for each in models]
    assert_same(fields)


def test_classes_of_one_name_are_kept_apart_as_by_pydantic() -> None:
    fields = [create_model_field("field", each) for each in (Leaf, another_leaf(), Tree)]
    _, definitions = v2.get_definitions(fields=fields, model_name_map={})
    assert "Leaf" not in definitions
    assert_same(fields)


ANNOTATIONS: list[Any] = [
    str, int, float, bool, Any, datetime.date, datetime.datetime, datetime.time, datetime.timedelta, uuid.UUID,
    str | None, list[int], dict[str, bool], dict[str, Any], list[str | None], Literal["a"], bytes, Color,
    Leaf, Leaf | None,
]  # fmt: skip
DEFAULTS: list[Any] = [
    ...,
    None,
    1,
    1.5,
    "text",
    True,
    [],
    {},
    [1],
    float("nan"),
    datetime.date(2020, 1, 1),
    (),
    Leaf(name="a"),
]


@given(
    st.sampled_from(ANNOTATIONS),
    st.sampled_from(DEFAULTS),
    st.fixed_dictionaries(
        {},
        optional={
            "title": st.just("A title"),
            "description": st.just("Text"),
            "deprecated": st.just(True),
            "examples": st.just([1]),
            "alias": st.just("other-name"),
            "json_schema_extra": st.just({"x": 1}),
        },
    ),
    st.booleans(),
)
@pytest.mark.filterwarnings("ignore::pydantic.json_schema.PydanticJsonSchemaWarning")
def test_parameter_has_pydantics_schema(annotation: Any, default: Any, options: dict[str, Any], is_built: bool) -> None:
    info = Query(default, annotation=annotation, **options)
    field = create_model_field("field", annotation, field_info=info)
    other = create_model_field("other", annotation)
    if is_built:
        field._type_adapter  # noqa: B018
    assert_same([field, other])


@given(
    st.dictionaries(
        st.from_regex("[a-z][a-z_]{0,5}[a-z]", fullmatch=True).filter(lambda name: not hasattr(BaseModel, name)),
        st.tuples(st.sampled_from(ANNOTATIONS), st.sampled_from(DEFAULTS)),
    )
)
@pytest.mark.filterwarnings("ignore::pydantic.json_schema.PydanticJsonSchemaWarning")
def test_made_model_has_pydantics_schema(definitions: dict[str, Any]) -> None:
    model = create_model("Made", **definitions)
    assert_same([create_model_field("field", model)])


def test_document_leaves_out_none_and_keeps_it_in_lists() -> None:
    app = FastAPI()

    @app.get("/", openapi_extra={"x-list": [None, {"a": None, "b": 1}], "x-none": None, "_sa_state": 1})
    def read(q: str | None = None) -> None: ...

    operation = app.openapi()["paths"]["/"]["get"]
    assert operation["x-list"] == [None, {"b": 1}]
    assert not {"x-none", "_sa_state"} & operation.keys()
    assert "default" not in operation["parameters"][0]["schema"]


def test_document_in_parts_is_the_document_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastAPI(openapi_tags=[{"name": "a"}], servers=[{"url": "/"}])
    for index, model in enumerate([*MODELS, *MODELS]):
        app.add_api_route(f"/{index}", lambda: None, response_model=model, name=f"name{index}")
    in_parts = app.openapi()
    monkeypatch.setattr(utils, "_PART", 1)
    app.openapi_schema = None
    assert app.openapi() == in_parts
    at_once = utils._written(copy.deepcopy(in_parts))
    assert at_once == in_parts
    assert json.dumps(at_once) == json.dumps(in_parts)


def test_invalid_document_names_all_that_is_wrong() -> None:
    class Wrong(BaseModel):
        model_config = ConfigDict(json_schema_extra={"required": 1})

    app = FastAPI(servers=[{"url": None}])
    app.add_api_route("/", lambda: None, response_model=Wrong)
    with pytest.raises(ValidationError) as caught:
        app.openapi()
    assert {error["loc"][0] for error in caught.value.errors()} == {"servers", "components"}
