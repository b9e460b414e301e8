"""Names in annotations: what FastAPI can resolve is resolved, and what it cannot resolve fails where it fails there.

A module of a user's is written from a table of annotations and places, and run under both frameworks.
"""

import asyncio
import re
import sys
import warnings
from types import ModuleType
from typing import Any

import fastapi._compat.v2 as reference
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

import ferroapi._compat.v2 as ours

from .drawn import Built, Request, run

PREAMBLE = """\
{future}
from typing import Annotated, Dict, List, Optional, TYPE_CHECKING, Union
import typing, {framework} as api
from pydantic import BaseModel as Model
from {framework}.responses import JSONResponse as JSON

class Item(Model):
    name: str = "x"

class Later(Model):
    other: "Never"

if TYPE_CHECKING:
    from nowhere import Session, Location, Mode

app = api.FastAPI()
calls = []
"""

ENDPOINT = """
@app.{decorator}
{def_} endpoint({parameters}){returns}:
    calls.append("endpoint")
    {statement}
"""
# The decorator, the parameters, and what else differs from an endpoint that returns the text of what it was given.
PLACES: dict[str, tuple[str, str, dict[str, str]]] = {
    "query": ('get("/")', "a: {annotation}{default}", {}),
    "path": ('get("/{{a}}")', "a: {annotation}", {}),
    "body": ('post("/")', "a: {annotation} = api.Body({body_default})", {}),
    "two bodies": ('post("/")', "a: {annotation} = api.Body({body_default}), b: Item = Item()", {}),
    "form": ('post("/")', "a: {annotation} = api.Form({body_default})", {}),
    "header": ('get("/")', "a: Annotated[{annotation}, api.Header()]{default}", {}),
    "dependency": ('get("/")', "a: Annotated[str, api.Depends(dependency)]", {}),
    "return": ('get("/")', "", {"returns": " -> {annotation}", "statement": "return {result}"}),
    "response model": ('get("/", response_model={annotation})', "", {"statement": "return {result}"}),
    "response class": (
        'get("/", response_model={annotation}, response_class=JSON)',
        "",
        {"statement": "return {result}"},
    ),
    "stream": (
        'get("/")',
        "",
        {"def_": "async def", "returns": " -> typing.AsyncIterator[{annotation}]", "statement": "yield {result}"},
    ),
    "websocket": (
        'websocket("/")',
        "ws: api.WebSocket, a: {annotation}{default}",
        {"def_": "async def", "statement": "await ws.accept(); await ws.close()"},
    ),
}
DEPENDENCY = """
def dependency(a: {annotation}{default}):
    calls.append("dependency")
    return repr(a)
"""
FORMS = ("{name}", "Optional[{name}]", "List[{name}]", "Dict[str, {name}]", "Union[int, {name}]", "list[{name}] | None")

# What a user's module has, what it imports for type checkers only, what stands in our module or in FastAPI's, and none.
NAMES = (
    "Item Later int Session Location Mode date datetime UUID Decimal Mapping Any Enum BaseModel ModelField Literal "
    "Sequence PlainSchemas TypeAlias ConfigDict Url None self value Nothing"
)


def load(framework: str, source: str) -> ModuleType:
    # One name for both, for it stands in messages.
    name = "annotated_by_a_user"
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, name, "exec", dont_inherit=True), vars(module))
    return module


JSON = ((b"content-type", b"application/json"),)
FORM = ((b"content-type", b"application/x-www-form-urlencoded"),)


def requests(place: str) -> list[Request]:
    if place == "websocket":
        return [Request("WEBSOCKET", "/", query=query) for query in (b"", b"a=1")]
    if place == "form":
        return [Request("POST", "/", headers=FORM, chunks=(body,)) for body in (b"", b"a=1&name=n")]
    if "bod" in place:
        texts = (b"", b'{"name": "n"}', b'{"a": {"name": "n"}}', b"[1]")
        return [Request("POST", "/", headers=JSON, chunks=(text,)) for text in texts]
    if place == "path":
        return [Request("GET", "/1")]
    return [Request("GET", "/", query=query, headers=((b"a", b"1"),)) for query in (b"", b"a=1")]


def comparable(text: str) -> str:
    """A text without what no two runs share."""
    # The model of several bodies is named after the framework. From Python 3.14 on a reference shows its owner.
    return re.sub(r" at 0x[0-9a-f]+", "", text).replace("ferroapi", "fastapi")


def outcome(framework: str, source: str, place: str) -> Any:
    """What becomes of a module: the error of importing it, or its document, answers and calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = load(framework, source)
        except Exception as error:
            return comparable(f"{type(error).__name__}: {error}")
        built = Built(module.app, module.calls, module.app)

        async def outcomes() -> list[Any]:
            await run(built, Request("TRACE", "/nowhere"))
            # Twice: what failed once is asked again.
            wanted = [*requests(place), *requests(place), Request("GET", "/openapi.json")]
            return [await run(built, each) for each in wanted]

        return comparable(repr(asyncio.run(outcomes())))


@st.composite
def modules(draw: st.DrawFn) -> tuple[str, str]:
    place = draw(st.sampled_from(sorted(PLACES)))
    name = draw(st.sampled_from(NAMES.split()))
    optional = draw(st.booleans())
    annotation = draw(st.sampled_from(FORMS)).format(name=f'"{name}"' if draw(st.booleans()) else name)
    if draw(st.integers(0, 19)) == 0:
        annotation = '"not a name"'
    decorator, parameters, others = PLACES[place]
    texts = {
        "def_": draw(st.sampled_from(["def", "async def"])),
        "returns": "",
        "statement": "return repr(a)",
        **others,
    }
    source = PREAMBLE + DEPENDENCY * (place == "dependency") + ENDPOINT
    for key, text in (("decorator", decorator), ("parameters", parameters), *texts.items()):
        source = source.replace(f"{{{key}}}", text)
    return place, source.format(
        framework="{framework}",
        future="from __future__ import annotations" if draw(st.booleans()) else "",
        annotation=annotation,
        default=" = None" if optional else "",
        body_default="None" if optional else "...",
        result=draw(st.sampled_from(["None", '{"name": "n"}', "[]", "1"])),
    )


@given(modules())
def test_annotations_are_resolved_and_fail_as_in_fastapi(drawn: tuple[str, str]) -> None:
    place, source = drawn
    expected = outcome("fastapi", source.replace("{framework}", "fastapi"), place)
    found = outcome("ferroapi", source.replace("{framework}", "ferroapi"), place)
    assert found == expected


def test_module_that_calls_pydantic_has_no_name_that_fastapis_has_not() -> None:
    names = {name for name in vars(ours) if not name.startswith("_")}
    assert names == {name for name in vars(reference) if not name.startswith("_")}
    for name in names:
        defined = str(getattr(getattr(reference, name), "__module__", ""))
        if not defined.startswith("fastapi") and not isinstance(getattr(reference, name), ModuleType):
            assert repr(getattr(ours, name)).replace("'BaseModel'", "pydantic.main.BaseModel") == repr(
                getattr(reference, name)
            ).replace("'BaseModel'", "pydantic.main.BaseModel"), name


REBUILT = """\
import {framework} as api
from pydantic import BaseModel

class Tree(BaseModel):
    leaf: "Leaf"

app = api.FastAPI()

@app.post("/")
async def grow(tree: Tree) -> Tree:
    return tree
"""


@pytest.mark.filterwarnings("ignore:The 'alias' attribute")
@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_annotation_is_resolved_once_its_model_is_rebuilt(framework: str) -> None:
    module = load(framework, REBUILT.format(framework=framework))
    built = Built(module.app, [], module.app)
    request = Request("POST", "/", headers=JSON, chunks=(b'{"leaf": {}}',))

    async def statuses() -> list[Any]:
        return [(await run(built, request)).status for _ in range(2)]

    assert asyncio.run(statuses()) == [500, 500]
    exec("class Leaf(BaseModel):\n    size: int = 1\n\nTree.model_rebuild()", vars(module))
    assert asyncio.run(statuses()) == [200, 200]


REBOUND = """\
from __future__ import annotations
from typing import Generic, TypeVar
from pydantic import BaseModel
import {framework} as api

T = TypeVar("T")
evaluated = []

class Box(BaseModel, Generic[T]):
    value: T

class Noted:
    def __class_getitem__(cls, item):
        evaluated.append(item)
        return item

app = api.FastAPI()
router = api.APIRouter()

@app.get("/")
def read() -> Box[int]:
    return {{"value": 1}}

@app.get("/noted")
@router.get("/noted")
def noted() -> Noted[int]:
    return 1

app.include_router(router, prefix="/included")
Box = None
"""


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_return_annotation_is_evaluated_where_the_route_is_declared_and_not_by_a_request(framework: str) -> None:
    module = ModuleType("of_a_user")
    sys.modules[module.__name__] = module
    try:
        exec(REBOUND.format(framework=framework), vars(module))
        # For the parameters and for the response, by both decorators.
        assert len(module.evaluated) == 4
        client = TestClient(module.app)
        assert client.get("/").json() == {"value": 1}
        assert client.get("/noted").json() == 1
        assert "/noted" in client.get("/openapi.json").json()["paths"]
        module.evaluated.clear()
        assert client.get("/included/noted").json() == 1
        # A view on a route reads its parameters again.
        assert len(module.evaluated) <= 1
    finally:
        del sys.modules[module.__name__]
