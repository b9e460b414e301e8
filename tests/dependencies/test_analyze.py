"""Parameters of a callable: which become fields, dependencies or objects of the request, and which are refused."""

import re
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from inspect import Parameter
from threading import Event
from types import ModuleType
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import AliasChoices, BaseModel, Field
from pydantic.fields import FieldInfo
from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from typing_extensions import TypeAliasType

from ferroapi.dependencies import _analyze

LISTS = ("path_params", "query_params", "header_params", "cookie_params", "body_params")
NAMES = ("request", "websocket", "http_connection", "response", "background_tasks", "security_scopes")


class Model(BaseModel):
    a: int


class Other(BaseModel):
    b: str


def outline(dependant: Any) -> Any:
    """Everything a graph says, without the objects that differ between frameworks."""
    return {
        **{name: [describe(field) for field in getattr(dependant, name)] for name in LISTS},
        **{name: getattr(dependant, f"{name}_param_name") for name in NAMES},
        "name": dependant.name,
        "scopes": (dependant.own_oauth_scopes, dependant.parent_oauth_scopes),
        "cache": (dependant.use_cache, dependant.scope, dependant.concurrency is None),
        "dependencies": [outline(child) for child in dependant.dependencies],
    }


def describe(field: Any) -> Any:
    info = field.field_info
    return (
        field.name,
        field.alias,
        field.validation_alias,
        type(info).__name__,
        getattr(info, "in_", None) and info.in_.value,
        plain_text(info.annotation),
        info.is_required(),
        repr(info.default),
        [plain_text(item) for item in info.metadata],
    )


def plain_text(item: Any) -> str:
    """What an annotation says, without the addresses of functions."""
    return re.sub(r"<function \w+ at 0x\w+>", "<function>", str(item)).replace("ferroapi", "fastapi")


Declare = Callable[[Any, ModuleType], Callable[..., Any]]


def by_type(framework: Any, p: ModuleType) -> Callable[..., Any]:
    def call(  # type: ignore[no-untyped-def]
        item: int,
        text: str,
        number: float | None = None,
        many: list[str] | None = None,
        model: Model | None = None,
        constrained: Annotated[int, Field(gt=3, default=9)] = 5,
        anything=1,
    ) -> None: ...

    return call


def by_marker(framework: Any, p: ModuleType) -> Callable[..., Any]:
    def call(
        item: Annotated[int, p.Path(ge=1)],
        q: Annotated[str, Field(max_length=3), p.Query(alias="Q")] = "x",
        last_marker_wins: Annotated[int, p.Query(), p.Header()] = 1,
        model: Annotated[Model | None, p.Query()] = None,
        user_agent: Annotated[str | None, p.Header()] = None,
        kept_name: str = p.Header(default="x", convert_underscores=False),
        session: str = p.Cookie(),
        body: Model = p.Body(embed=True),
        field: str = p.Form(),
        file: bytes = p.File(),
        union: Annotated[Model | Other, p.Form()] = None,  # type: ignore[assignment]
    ) -> None: ...

    return call


def path_choices(framework: Any, p: ModuleType) -> Callable[..., Any]:
    def call(item: Annotated[int, p.Path(validation_alias=AliasChoices("x", "item"))]) -> None: ...

    return call


def special(framework: Any, p: ModuleType) -> Callable[..., Any]:
    def call(
        request: Request,
        websocket: WebSocket,
        connection: HTTPConnection,
        response: Response,
        tasks: BackgroundTasks,
        scopes: framework.security.SecurityScopes,
    ) -> None: ...

    return call


def dependencies(framework: Any, p: ModuleType) -> Callable[..., Any]:
    class Filters:
        def __init__(self, item: int, q: str = "") -> None: ...

    def leaf(x: Annotated[str, p.Header()], request: Request) -> None: ...
    def generator(leaf: Annotated[Any, p.Depends(leaf, use_cache=False)]) -> Any:
        yield

    def call(
        filters: Annotated[Filters, p.Depends()],
        a: Any = p.Security(generator, scopes=["one", "two"]),
        b: Any = p.Depends(leaf, scope="function", max_concurrency=2),
    ) -> None: ...

    return call


def aliased_type(framework: Any, p: ModuleType) -> Callable[..., Any]:
    alias = TypeAliasType("alias", Annotated[int, p.Query(ge=2)])

    def call(a: alias, b: alias = 3) -> None: ...

    return call


@pytest.mark.parametrize(
    "declare", [by_type, by_marker, path_choices, special, dependencies, aliased_type], ids=lambda f: f.__name__
)
def test_dependant_is_that_of_fastapi(declare: Declare, ours: Any, theirs: Any) -> None:
    found = [
        outline(framework.utils.get_dependant(path="/{item}", call=declare(framework, framework.param_functions)))
        for framework in (ours, theirs)
    ]
    assert found[0] == found[1]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement `type X = ...` is of Python 3.12")
def test_type_statement_is_its_value(ours: Any) -> None:
    names = {"Annotated": Annotated, "Query": ours.param_functions.Query}
    exec("type Text = Annotated[str, Query(alias='t')]\ndef call(text: Text): ...", names)
    assert ours.utils.get_dependant(path="/", call=names["call"]).query_params[0].alias == "t"


def refused(p: ModuleType) -> dict[str, Callable[..., Any]]:
    def default_in_annotated(a: Annotated[int, p.Query(default=1)]) -> None: ...
    def path_default(item: Annotated[int, p.Path()] = 3) -> None: ...
    def path_as_query(item: Annotated[int, p.Query()]) -> None: ...
    def path_as_model(item: Model) -> None: ...
    def two_depends(a: Annotated[int, p.Depends(len)] = p.Depends(len)) -> None: ...
    def marker_and_depends(a: Annotated[int, p.Query()] = p.Depends(len)) -> None: ...
    def two_markers(a: Annotated[int, p.Query()] = p.Query()) -> None: ...
    def marked_request(request: Annotated[Request, p.Query()]) -> None: ...
    def query_of_dicts(a: Annotated[dict[str, str], p.Query()]) -> None: ...
    def query_of_model_list(a: list[Model] = p.Query()) -> None: ...
    def default_and_factory(a: Annotated[int, p.Query(default_factory=int)] = 2) -> None: ...
    def no_schema(a: Annotated[Event, p.Query()]) -> None: ...
    def narrower(a: Any = p.Depends(len, scope="function")) -> Any:
        yield

    return {name: call for name, call in locals().items() if name != "p"}


@pytest.mark.parametrize("name", sorted(refused(__import__("fastapi.param_functions").param_functions)))
def test_refusal_is_that_of_fastapi(name: str, ours: Any, theirs: Any) -> None:
    messages = []
    for framework in (ours, theirs):
        call = refused(framework.param_functions)[name]
        with pytest.raises(Exception) as raised:
            framework.utils.get_dependant(path="/{item}", call=call)
        messages.append((type(raised.value).__name__, str(raised.value)))
    assert messages[0] == messages[1]


def test_annotated_marker_is_copied_for_each_parameter(ours: Any) -> None:
    shared = Annotated[int, ours.param_functions.Query()]

    def call(a: shared = 1, b: shared = 2) -> None: ...

    fields = ours.utils.get_dependant(path="/", call=call).query_params
    assert [(field.alias, field.default) for field in fields] == [("a", 1), ("b", 2)]


def test_flat_params_take_a_repeated_dependency_once(ours: Any) -> None:
    p = ours.param_functions

    def leaf(q: str, h: Annotated[str, p.Header()]) -> None: ...
    def branch(leaf: Annotated[Any, p.Depends(leaf)], m: Annotated[Model, p.Query()]) -> None: ...
    def call(item: int, a: Annotated[Any, p.Depends(branch)], b: Annotated[Any, p.Depends(leaf)]) -> None: ...

    dependant = ours.utils.get_dependant(path="/{item}", call=call)
    assert [field.name for field in ours.utils.get_flat_params(dependant)] == ["item", "a", "q", "h"]


def test_flat_body_params_are_in_order_of_declaration(ours: Any) -> None:
    p = ours.param_functions

    def leaf(x: Annotated[int, p.Body()]) -> None: ...
    def branch(y: Annotated[int, p.Body()], leaf: Annotated[Any, p.Depends(leaf)]) -> None: ...
    def call(a: Annotated[Any, p.Depends(branch)], z: Model, b: Annotated[Any, p.Depends(leaf)]) -> None: ...

    dependant = ours.utils.get_dependant(path="/", call=call)
    assert [field.name for field in ours.utils._get_flat_body_params(dependant)] == ["z", "y", "x", "x"]


def test_parameterless_dependency_must_be_callable(ours: Any) -> None:
    with pytest.raises(AssertionError, match="must have a callable dependency"):
        ours.utils.get_parameterless_sub_dependant(depends=ours.params.Depends(), path="/")
    security = ours.params.Security(lambda: None, scopes=["a"])
    assert ours.utils.get_parameterless_sub_dependant(depends=security, path="/").own_oauth_scopes == ["a"]


def test_parameter_from_an_unknown_place_is_refused(ours: Any) -> None:
    field = ours._compat.ModelField(name="a", field_info=ours.params.FieldInfo(annotation=int))
    with pytest.raises(AssertionError, match="must be in path, query, header or cookie: a"):
        ours.utils.add_param_to_fields(field=field, dependant=ours.utils.Dependant())


def test_multipart_texts_are_those_of_fastapi(ours: Any, theirs: Any) -> None:
    for name in ("multipart_not_installed_error", "multipart_incorrect_install_error"):
        assert getattr(ours.utils, name) == getattr(theirs.utils, name)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({}, None),
        ({"python_multipart": None, "multipart": None}, "multipart_not_installed_error"),
        ({"python_multipart": None, "multipart": "1.0"}, "multipart_incorrect_install_error"),
        ({"python_multipart": "0.0.12", "multipart": None}, "multipart_not_installed_error"),
        ({"python_multipart": None, "multipart": "0.0.9", "multipart.multipart": "parser"}, None),
    ],
)
def test_multipart_check(
    modules: dict[str, str | None], message: str | None, ours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if modules:
        modules.setdefault("multipart.multipart", None)
    for name, version in modules.items():
        module = None if version is None else ModuleType(name)
        if module is not None:
            vars(module).update(__version__=version, parse_options_header=len)
        monkeypatch.setitem(sys.modules, name, module)
    if message is None:
        ours.utils.ensure_multipart_is_installed()
    else:
        with pytest.raises(RuntimeError) as raised:
            ours.utils.ensure_multipart_is_installed()
        assert str(raised.value) == getattr(ours.utils, message)


class Item(BaseModel):
    name: str


@pytest.mark.parametrize("default", [Parameter.empty, None, 1, "text", [], Item(name="a")])
@pytest.mark.parametrize("annotation", [str, int, float, bool, bytes, date, Decimal, UUID, Item])
@pytest.mark.parametrize("is_path_param", [False, True])
def test_simple_field_is_that_of_the_full_analysis(annotation: Any, default: Any, is_path_param: bool) -> None:
    simple = _analyze._simple_field("name_of_it", annotation, default, is_path_param)
    if simple is None:
        assert annotation is Item and is_path_param
        return
    full = _analyze.analyze_param(
        param_name="name_of_it",
        annotation=annotation,
        value=default,
        path_param_names={"name_of_it"} if is_path_param else set(),
    ).field
    assert full is not None

    def parts(field: Any) -> Any:
        info = field.field_info
        slots = {name: getattr(info, name, "absent") for name in FieldInfo.__slots__}
        return type(info), slots, vars(info), field.name, field.mode, field.config

    assert parts(simple) == parts(full)
    assert parts(simple)[1]["_attributes_set"] == parts(full)[1]["_attributes_set"]


def test_simple_fields_share_nothing() -> None:
    first, second = (_analyze._simple_field("name", int, 1, False) for _ in range(2))
    assert first is not None and second is not None
    first.field_info.metadata.append(1)
    first.field_info._attributes_set["default"] = 2
    assert second.field_info.metadata == []
    assert second.field_info._attributes_set["default"] == 1
