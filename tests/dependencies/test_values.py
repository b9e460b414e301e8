"""Parameters of a request: the same values and errors as FastAPI, for the same declarations and requests."""

from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, Json
from starlette.datastructures import Headers, QueryParams

from .conftest import Framework

Declare = Callable[[ModuleType], Callable[..., Any]]

ALLOW = ConfigDict(extra="allow")
FORBID = ConfigDict(extra="forbid")


class Filters(BaseModel):
    limit: int = 3
    user_agent: str | None = None
    tags: list[str] = []
    renamed: Annotated[int, Field(alias="x_renamed")] = 0


class Open(Filters):
    model_config = ALLOW


class Closed(Filters):
    model_config = FORBID


class Named(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
    first_name: Annotated[str, Field(alias="x_first")] = ""
    other_name: Annotated[str, Field(validation_alias=AliasChoices("a", "x-b"))] = ""


class OnlyNamed(BaseModel):
    model_config = ConfigDict(validate_by_alias=False, validate_by_name=True)
    first_name: Annotated[int, Field(alias="x_first")]


class Nested(BaseModel):
    deep: Annotated[int, Field(validation_alias=AliasPath("a", 0))] = 1
    either: Annotated[int, Field(validation_alias=AliasChoices("x", AliasPath("a", 1)))] = 1


def single(p: Any) -> Callable[..., Any]:
    def call(
        a: int, b: list[int] = p(), c: Annotated[set[str] | None, p()] = None, d: str = p("x", alias="D")
    ) -> None: ...

    return call


def choices(p: Any) -> Callable[..., Any]:
    def call(
        a: Annotated[int, p(validation_alias=AliasChoices("x", "limit", "x-b"))], j: Annotated[Json[Any], p()]
    ) -> None: ...

    return call


def defaults(p: Any) -> Callable[..., Any]:
    def call(
        a: Annotated[int, p(validate_default=True)] = "no",  # type: ignore[assignment]
        b: list[int] = p(default_factory=list),
        c: Annotated[Json[list[int]], p()] = None,  # type: ignore[assignment]
    ) -> None: ...

    return call


def model(annotation: Any, **options: Any) -> Declare:
    def declare(p: Any) -> Callable[..., Any]:
        def call(m: Annotated[annotation, p(**options)] = None) -> None: ...
        def required(m: Annotated[annotation, p(**options)]) -> None: ...

        return call if type(None) in getattr(annotation, "__args__", ()) else required

    declare.__name__ = str(annotation)
    return declare


DECLARATIONS = [
    single,
    choices,
    defaults,
    *map(model, [Filters, Open, Closed, Named, OnlyNamed, Nested, Filters | None, Open | None, Closed | None]),
]
NAMES = ["a", "b", "c", "D", "j", "x", "limit", "tags", "user_agent", "user-agent", "x_renamed", "x-renamed",
         "x_first", "x-first", "first_name", "first-name", "other_name", "x-b", "Extra"]  # fmt: skip
ITEMS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["", "1", "2", "x", "[1]"])), max_size=6)
SOURCES = {"Query": "query_params", "Header": "header_params", "Cookie": "cookie_params"}
FRAMEWORKS = [Framework("ferroapi"), Framework("fastapi")]


def fields_of(framework: Framework, source: str, declare: Declare) -> Any:
    call = declare(getattr(framework.param_functions, source))
    return getattr(framework.utils.get_dependant(path="/", call=call), SOURCES[source])


FIELDS = {
    (source, declare.__name__): [fields_of(framework, source, declare) for framework in FRAMEWORKS]
    for source in SOURCES
    for declare in DECLARATIONS
}


def received(source: str, items: list[tuple[str, str]]) -> Any:
    if source == "Query":
        return QueryParams(items)
    if source == "Header":
        return Headers(raw=[(name.lower().encode(), value.encode()) for name, value in items])
    return dict(items)


def outcome(framework: Framework, fields: Any, mapping: Any) -> Any:
    values, errors = framework.utils.request_params_to_args(fields, mapping)
    dumped = {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in values.items()}
    return dumped, errors


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("declaration", [declare.__name__ for declare in DECLARATIONS])
@settings(max_examples=max(40, settings().max_examples // 10))
@given(items=ITEMS)
def test_values_and_errors_are_those_of_fastapi(source: str, declaration: str, items: list[tuple[str, str]]) -> None:
    ours, theirs = (
        outcome(framework, fields, received(source, items))
        for framework, fields in zip(FRAMEWORKS, FIELDS[source, declaration], strict=True)
    )
    assert ours == theirs


@pytest.mark.parametrize("convert", [True, False])
@settings(max_examples=max(40, settings().max_examples // 10))
@given(items=ITEMS)
def test_header_model_spelling_is_that_of_fastapi(convert: bool, items: list[tuple[str, str]]) -> None:
    def declare(p: Any) -> Callable[..., Any]:
        class Mixed(Open):
            own_choice: Annotated[str, p(convert_underscores=not convert)] = ""

        return model(Mixed, convert_underscores=convert)(p)

    ours, theirs = (
        outcome(framework, fields_of(framework, "Header", declare), received("Header", items))
        for framework in FRAMEWORKS
    )
    assert ours == theirs


def test_path_values_take_the_raw_text(ours: Any) -> None:
    def call(item: Annotated[int, ours.param_functions.Path(ge=2)]) -> None: ...

    fields = ours.utils.get_dependant(path="/{item}", call=call).path_params
    assert ours.utils.request_params_to_args(fields, {"item": "2"}) == ({"item": 2}, [])
    values, errors = ours.utils.request_params_to_args(fields, {"item": "1"})
    assert values == {}
    assert errors[0]["loc"] == ("path", "item")


def test_no_fields_read_nothing(ours: Any) -> None:
    assert ours.utils.request_params_to_args([], None) == ({}, [])


def test_field_edited_in_place_is_read_under_its_new_alias(ours: Any) -> None:
    def call(some_name: str) -> None: ...

    fields = ours.utils.get_dependant(path="/", call=call).query_params
    received = QueryParams("some_name=old&someName=new")
    assert ours.utils.request_params_to_args(fields, received) == ({"some_name": "old"}, [])
    fields[0].field_info.alias = fields[0].field_info.validation_alias = "someName"
    assert ours.utils.request_params_to_args(fields, received) == ({"some_name": "new"}, [])


def test_default_is_copied_for_each_request(ours: Any) -> None:
    def call(many: Annotated[list[str], ours.param_functions.Query()] = ["x"]) -> None: ...  # noqa: B006

    fields = ours.utils.get_dependant(path="/", call=call).query_params
    first, _ = ours.utils.request_params_to_args(fields, QueryParams())
    first["many"].append("y")
    assert ours.utils.request_params_to_args(fields, QueryParams()) == ({"many": ["x"]}, [])


def test_field_that_is_no_parameter_is_refused(ours: Any) -> None:
    field = ours._compat.ModelField(name="a", field_info=ours.params.Body(annotation=int))
    with pytest.raises(AssertionError, match="Params must be subclasses of Param"):
        ours.utils.request_params_to_args([field], QueryParams())


def test_aliases_are_pairs_of_validation_and_request_names(ours: Any, theirs: Any) -> None:
    for annotation in (Filters, Named, OnlyNamed, Nested):
        for hyphens in (True, False):
            pairs = [
                [
                    [tuple(pair) for pair in framework.utils._get_param_aliases(field, convert_underscores=hyphens)]
                    for field in framework._compat.get_cached_model_fields(annotation)
                ]
                for framework in (ours, theirs)
            ]
            assert pairs[0] == pairs[1]
