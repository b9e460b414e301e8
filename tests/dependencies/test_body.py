"""Bodies: the same values, errors, body field and schema as FastAPI, for JSON and for forms."""

from collections.abc import Callable
from io import BytesIO
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, Json, Tag, TypeAdapter
from pydantic_core import PydanticUndefined
from starlette.datastructures import FormData, UploadFile

from .conftest import Framework

pytestmark = pytest.mark.anyio

Declare = Callable[[Any], Callable[..., Any]]


class Item(BaseModel):
    name: str
    tags: list[str] = []
    price: Annotated[float, Field(validation_alias=AliasChoices("cost", "price"))] = 0


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["closed"]
    flag: bool = False


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    kind: Literal["open"]
    files: list[Any] = []


class Loose(BaseModel):
    value: str | None = None


def empty(p: Any) -> Callable[..., Any]:
    def call(a: int) -> None: ...

    return call


def one_model(p: Any) -> Callable[..., Any]:
    def call(item: Item) -> None: ...

    return call


def one_optional(p: Any) -> Callable[..., Any]:
    def call(item: Item | None = None) -> None: ...

    return call


def one_embedded(p: Any) -> Callable[..., Any]:
    def call(item: Annotated[Item, p.Body(embed=True, media_type="application/vnd.x+json")]) -> None: ...

    return call


def several(p: Any) -> Callable[..., Any]:
    def call(
        item: Item,
        a: Annotated[int, p.Body(gt=0)],
        b: Annotated[str, p.Body(alias="B")] = "x",
        c: list[int] = p.Body([]),
    ) -> None: ...

    return call


def all_optional(p: Any) -> Callable[..., Any]:
    def call(
        a: Annotated[int, p.Body()] = 1,
        b: Annotated[int | None, p.Body(validation_alias=AliasChoices("x", "b"))] = None,
    ) -> None: ...

    return call


def one_json(p: Any) -> Callable[..., Any]:
    def call(j: Annotated[Json[list[int]], p.Form()]) -> None: ...

    return call


def form_values(p: Any) -> Callable[..., Any]:
    def call(
        a: Annotated[int, p.Form()],
        many: Annotated[list[str], p.Form()] = [],  # noqa: B006
        j: Annotated[Json[list[int]] | None, p.Form()] = None,
        either: Annotated[str, p.Form(validation_alias=AliasChoices("x", "y"))] = "",
    ) -> None: ...

    return call


def form_model(p: Any) -> Callable[..., Any]:
    def call(item: Annotated[Item, p.Form()]) -> None: ...

    return call


def form_model_embedded(p: Any) -> Callable[..., Any]:
    def call(
        item: Annotated[Item, p.Form(media_type="multipart/form-data")], a: Annotated[int, p.Form()] = 1
    ) -> None: ...

    return call


def form_optional(p: Any) -> Callable[..., Any]:
    def call(item: Annotated[Item | None, p.Form()] = None) -> None: ...

    return call


def form_optional_required(p: Any) -> Callable[..., Any]:
    def call(item: Annotated[Closed | None, p.Form()], loose: Annotated[Loose | None, p.Form()] = None) -> None: ...

    return call


def form_union(p: Any) -> Callable[..., Any]:
    def call(item: Annotated[Closed | Annotated[Open, Tag("opened")], p.Form()]) -> None: ...

    return call


def form_optional_union(p: Any) -> Callable[..., Any]:
    def call(item: Annotated[Closed | Loose | None, p.Form()] = None) -> None: ...

    return call


def files(p: Any) -> Callable[..., Any]:
    def call(
        raw: Annotated[bytes, p.File()],
        upload: p.UploadFile | None = None,
        raws: Annotated[list[bytes], p.File()] = [],  # noqa: B006
        text: Annotated[str, p.Form()] = "",
    ) -> None: ...

    return call


DECLARATIONS: list[Declare] = [
    one_model, one_optional, one_embedded, several, all_optional, one_json, form_values, form_model,
    form_model_embedded, form_optional, form_optional_required, form_union, form_optional_union, files,
]  # fmt: skip

JSON_BODIES: list[Any] = [
    PydanticUndefined, None, b"", b"raw", {}, [], 1, "text",
    {"name": "n", "cost": 2}, {"item": {"name": "n"}, "a": 1}, {"item": {}, "a": 0, "B": 1, "c": ["x"]},
    {"x": 1}, {"x": None, "b": 2}, {"j": "[1]"},
]  # fmt: skip

FORMS: list[list[tuple[str, Any]]] = [
    [],
    [("a", "1"), ("many", "1"), ("many", ""), ("j", "[1, 2]"), ("y", "z"), ("x", "")],
    [("a", "")],
    [("j", "nope"), ("a", "x")],
    [("name", "n"), ("tags", "1"), ("tags", "2"), ("price", "3"), ("extra", "e")],
    [("item", "1")],
    [("kind", "closed"), ("flag", "true")],
    [("kind", "open"), ("files", "f"), ("more", "1"), ("more", "2")],
    [("kind", "other"), ("value", "v")],
    [("value", "v")],
    [("raw", b"r"), ("raws", b"1"), ("raws", "text"), ("raws", b"2"), ("upload", b"u"), ("text", "t")],
    [("raw", ""), ("upload", None), ("raws", None)],
    [("raw", "text"), ("raws", "only text")],
]


def form(items: list[tuple[str, Any]]) -> FormData:
    """A form in which bytes stand for an uploaded file and None for a file input that was left blank."""
    return FormData([(name, upload(value) if not isinstance(value, str) else value) for name, value in items])


def upload(content: bytes | None) -> UploadFile:
    return UploadFile(BytesIO(content or b""), filename="" if content is None else "f.txt", size=len(content or b""))


def prepared(framework: Framework, declare: Declare) -> tuple[Any, bool]:
    names = SimpleNamespace(**vars(framework.param_functions), UploadFile=framework.datastructures.UploadFile)
    dependant = framework.utils.get_dependant(path="/", call=declare(names))
    return dependant.body_params, framework.utils._should_embed_body_fields(dependant.body_params)


def plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return type(value).__name__, {name: plain(item) for name, item in value}, plain(value.model_extra)
    if isinstance(value, UploadFile):
        return "file", value.filename, value.file.tell()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


async def outcome(framework: Framework, declare: Declare, body: Any) -> Any:
    fields, embed = prepared(framework, declare)
    values, errors = await framework.utils.request_body_to_args(fields, body, embed)
    return (
        plain(values),
        [(error["type"], error["loc"], error["msg"], plain(error["input"])) for error in errors],
        embed,
    )


@pytest.mark.parametrize("body", JSON_BODIES, ids=str)
@pytest.mark.parametrize("declare", DECLARATIONS, ids=lambda f: f.__name__)
async def test_json_body_is_read_as_by_fastapi(declare: Declare, body: Any, ours: Any, theirs: Any) -> None:
    assert await outcome(ours, declare, body) == await outcome(theirs, declare, body)


@pytest.mark.parametrize("items", FORMS, ids=str)
@pytest.mark.parametrize("declare", DECLARATIONS, ids=lambda f: f.__name__)
async def test_form_is_read_as_by_fastapi(declare: Declare, items: Any, ours: Any, theirs: Any) -> None:
    assert await outcome(ours, declare, form(items)) == await outcome(theirs, declare, form(items))


@pytest.mark.parametrize("declare", [empty, *DECLARATIONS], ids=lambda f: f.__name__)
async def test_body_field_is_that_of_fastapi(declare: Declare, ours: Any, theirs: Any) -> None:
    found = []
    for framework in (ours, theirs):
        fields, embed = prepared(framework, declare)
        field = framework.utils._get_body_field(body_params=fields, name="op", embed_body_fields=embed)
        found.append(field and describe(field))
    assert found[0] == found[1]


def describe(field: Any) -> Any:
    info = field.field_info
    annotation: Any = Annotated[info.annotation, info]
    schema = TypeAdapter[Any](annotation).json_schema()
    return field.name, field.alias, type(info).__name__, info.media_type, info.is_required(), schema


async def test_body_without_fields_is_refused(ours: Any) -> None:
    with pytest.raises(AssertionError, match="should be called with fields"):
        await ours.utils.request_body_to_args([], {}, False)


async def test_file_for_a_json_list_is_a_validation_error(ours: Any) -> None:
    """FastAPI fails with a TypeError, a 500, when a file is sent where `Json[list]` is declared."""
    fields, embed = prepared(ours, one_json)
    _, errors = await ours.utils.request_body_to_args(fields, form([("j", b"[1]")]), embed)
    assert [error["type"] for error in errors] == ["json_type"]


async def test_file_bytes_leave_the_file_where_it_stood(ours: Any) -> None:
    file = upload(b"hello")
    await file.seek(2)
    assert await ours.utils._read_file_bytes(file) == b"llo"
    assert file.file.tell() == 2


async def test_repeated_parameter_is_not_embedded(ours: Any) -> None:
    fields, _ = prepared(ours, one_model)
    assert not ours.utils._should_embed_body_fields([*fields, *fields])
    assert not ours.utils._should_embed_body_fields([])
    form_fields, _ = prepared(ours, form_model)
    assert ours.utils._should_embed_body_fields([*form_fields, *fields])
    assert not ours.utils._should_embed_body_fields([*form_fields, *form_fields])


# The steps of reading a form, under FastAPI's names: cadwyn calls them.

FORMS = (
    [],
    [("name", "pen")],
    [("name", ""), ("tags", "a"), ("tags", "b")],
    [("cost", "2"), ("price", "3"), ("other", "x"), ("other", "y")],
    [("value", "")],
    [("file", UploadFile(BytesIO(b"data"), filename="f"))],
    [("file", UploadFile(BytesIO(b""), filename="", size=0)), ("files", UploadFile(BytesIO(b"1"), filename="1"))],
)


def form_fields(framework: Framework) -> list[Any]:
    form, file = framework.params.Form, framework.params.File

    def endpoint(
        name: Annotated[str, form()],
        price: Annotated[float, form(validation_alias=AliasChoices("cost", "price"))] = 0,
        tags: Annotated[list[str], form()] = [],  # noqa: B006
        file: Annotated[bytes | None, file()] = None,
        files: Annotated[list[bytes], file()] = [],  # noqa: B006
    ) -> None: ...

    fields: list[Any] = framework.utils.get_dependant(path="/", call=endpoint).body_params
    return fields


def form_field(framework: Framework, annotation: Any) -> Any:
    declared = Annotated[annotation, framework.params.Form()]

    def endpoint(given: declared) -> None: ...  # type: ignore[valid-type]

    return framework.utils.get_dependant(path="/", call=endpoint).body_params[0]


def named(items: Any) -> list[Any]:
    return [(alias, value, field and field.name) for alias, value, field in items]


@pytest.mark.parametrize("items", FORMS, ids=range(len(FORMS)))
async def test_items_of_a_form_are_those_of_fastapi(items: list[Any], ours: Framework, theirs: Framework) -> None:
    def steps(framework: Framework) -> Any:
        form, fields = FormData(items), form_fields(framework)
        utils = framework.utils
        values = [utils._get_multidict_value(each, form, alias=each.alias) for each in fields]
        return values, named(utils._extract_form_items(fields, form)), utils._extract_form_body(fields, form)

    (values, found, contents), (expected, items_there, contents_there) = steps(ours), steps(theirs)
    assert (values, found) == (expected, items_there)
    assert named([item async for item in contents]) == named([item async for item in contents_there])


@pytest.mark.parametrize("items", FORMS, ids=range(len(FORMS)))
@pytest.mark.parametrize("model", [Item, Closed, Open, Loose], ids=lambda model: model.__name__)
async def test_form_model_is_supplied_as_by_fastapi(
    model: Any, items: list[Any], ours: Framework, theirs: Framework
) -> None:
    form = FormData(items)
    assert ours.utils._is_form_model_supplied(model, form) == theirs.utils._is_form_model_supplied(model, form)


@pytest.mark.parametrize(
    ("annotation", "embed"),
    [(Item, None), (Item | None, None), (Item | Closed, None), (str, None), (Json[Any], None), (Item, True)],
)
async def test_form_model_of_a_field_is_that_of_fastapi(
    annotation: Any, embed: bool | None, ours: Framework, theirs: Framework
) -> None:
    def model(framework: Framework) -> Any:
        field = form_field(framework, annotation)
        field.field_info.embed = embed
        return framework.utils._get_form_model(field)

    assert model(ours) is model(theirs)


async def test_step_that_is_replaced_is_asked(ours: Framework, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours.utils, "_get_multidict_value", lambda field, values, alias: "replaced")
    found = named(ours.utils._extract_form_items(form_fields(ours)[:1], FormData([])))
    assert found == [("name", "replaced", "name")]
