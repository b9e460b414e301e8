"""The whole document: the same small applications under FastAPI and under ferroapi, compared as JSON text.

Each builder takes a framework's modules and returns an application; the table at the end names them by what they cover.
"""

# The framework is a value here, so type checkers cannot know its decorators and classes.
# mypy: disable-error-code="untyped-decorator, name-defined"
# pyright: reportInvalidTypeForm=false, reportCallIssue=false

import importlib
import json
import warnings
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from datetime import date
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field

Builder = Callable[["Framework"], Any]


class Framework:
    """A framework's package, whose submodules are attributes: `framework.responses.HTMLResponse`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        package = importlib.import_module(self.name)
        try:
            return getattr(package, name)
        except AttributeError:
            return importlib.import_module(f"{self.name}.{name}")


class Color(Enum):
    red = "red"
    blue = "blue"


class Area(str, Enum):  # noqa: UP042  (as applications write it)
    shop = "shop"
    stock = "stock"


class Status(IntEnum):
    made = 201


class Part(BaseModel):
    """A part of an item.

    \f
    Not for readers of the document.
    """

    name: str
    size: float = Field(gt=0, description="in metres")


class Item(BaseModel):
    id: int
    color: Color | None = None
    parts: list[Part] = []
    made_on: date | None = Field(None, alias="madeOn", examples=["2024-01-01"])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return f"#{self.id}"


class Problem(BaseModel):
    code: Literal["gone", "busy"]


Kind = TypeVar("Kind")


class Page(BaseModel, Generic[Kind]):
    entries: list[Kind]
    next: str | None = None


class Filter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(10, le=100)
    order_by: Annotated[str, Field(alias="orderBy", deprecated=True)] = "id"
    tags: list[str] = []


class Address(BaseModel):
    user_agent: str
    x_rate: int | None = None


@dataclass
class Point:
    x: int
    y: int = 0


def parameters(framework: Framework) -> Any:
    """Every place and kind of parameter, hidden ones and examples included."""
    app = framework.FastAPI()
    path, query, header, cookie = framework.Path, framework.Query, framework.Header, framework.Cookie

    @app.get("/things/{thing_id}/{rest:path}")
    def things(
        thing_id: Annotated[int, path(ge=1, title="The id", description="Which thing")],
        rest: str,
        q: str | None = None,
        many: Annotated[list[int], query(alias="m", max_length=3)] = [],  # noqa: B006
        old: Annotated[str, query(deprecated=True)] = "x",
        secret: Annotated[str, query(include_in_schema=False)] = "",
        color: Color = Color.red,
        shown: Annotated[str, query(openapi_examples={"a": {"summary": "An a", "value": "a"}})] = "",
        user_agent: Annotated[str | None, header()] = None,
        under_score: Annotated[str | None, header(convert_underscores=False)] = None,
        session: Annotated[str | None, cookie()] = None,
    ) -> None:
        """Find a thing.

        With *markdown*.
        \f
        Not for readers of the document.
        """

    return app


def parameter_models(framework: Framework) -> Any:
    """Parameters declared with a model, required and optional, and the same name twice."""
    app = framework.FastAPI()

    def limited(limit: int) -> int:
        return limit

    @app.get("/query")
    def of_query(
        filter_: Annotated[Filter, framework.Query()], limit: Annotated[int, framework.Depends(limited)]
    ) -> None: ...

    @app.get("/optional")
    def of_optional_query(filter_: Annotated[Filter | None, framework.Query()] = None) -> None: ...

    @app.get("/header")
    def of_header(address: Annotated[Address, framework.Header(convert_underscores=False)]) -> None: ...

    @app.get("/cookie")
    def of_cookie(address: Annotated[Address, framework.Cookie()]) -> None: ...

    return app


def bodies(framework: Framework) -> Any:
    """JSON, embedded, form, file, raw and model forms."""
    app = framework.FastAPI()

    @app.post("/json")
    def as_json(item: Item) -> None: ...

    @app.put("/embedded/{item_id}")
    def embedded(
        item_id: int, item: Annotated[Item, framework.Body(embed=True, examples=[{"id": 1}])], flag: bool = False
    ) -> None: ...

    @app.patch("/two")
    def two(item: Item, part: Part | None = None, note: Annotated[str, framework.Body()] = "") -> None: ...

    @app.post("/optional")
    def optional(item: Annotated[Item | None, framework.Body(description="Maybe")] = None) -> None: ...

    @app.post("/examples")
    def with_examples(
        item: Annotated[Item, framework.Body(openapi_examples={"least": {"value": {"id": 1}}}, media_type="text/x")],
    ) -> None: ...

    @app.post("/form")
    def as_form(name: Annotated[str, framework.Form()], size: Annotated[int, framework.Form(ge=1)] = 1) -> None: ...

    @app.post("/form-model")
    def as_form_model(part: Annotated[Part, framework.Form()]) -> None: ...

    @app.post("/files")
    def as_files(
        one: framework.UploadFile,
        raw: Annotated[bytes, framework.File(description="Bytes")],
        many: list[framework.UploadFile],
    ) -> None: ...

    @app.post("/list")
    def as_list(points: list[Point]) -> dict[str, Point]: ...  # type: ignore[empty-body]

    @app.api_route("/several", methods=["PUT", "POST"], operation_id="several")
    def several(item: Item) -> Item: ...  # type: ignore[empty-body]

    return app


def operations(framework: Framework) -> Any:
    """Everything an operation may be called, hidden and annotated with."""
    app = framework.FastAPI()
    empty: dict[str, Any] = {"status_code": 204}

    @app.post(
        "/all",
        tags=[Area.shop, "plain"],
        summary="Do it",
        description="At length",
        response_description="Done",
        deprecated=True,
        operation_id="do_it",
        status_code=Status.made,
    )
    def named() -> Item: ...  # type: ignore[empty-body]

    @app.get("/hidden", include_in_schema=False)
    def hidden(part: Part) -> None: ...

    @app.delete("/empty", **empty)
    def nothing(item_id: int) -> None: ...

    @app.get(
        "/extra",
        openapi_extra={"x-limits": {"rate": 1}, "parameters": [{"in": "query", "name": "raw", "schema": {}}]},
    )
    def with_extra(q: str) -> None: ...

    @app.post(
        "/raw",
        openapi_extra={
            "requestBody": {"content": {"application/yaml": {"schema": Part.model_json_schema()}}, "required": True}
        },
    )
    async def raw_body(request: framework.Request) -> None: ...

    @app.head("/head")
    @app.options("/options")
    @app.trace("/trace")
    def verbs() -> None: ...

    for route in app.routes:
        if isinstance(route, framework.routing.APIRoute) and not route.operation_id:
            route.operation_id = f"own-{route.name}-{'-'.join(route.methods)}"
    return app


def responses(framework: Framework) -> Any:
    """Additional responses: models, ranges, media types, merges with the route's own."""
    app = framework.FastAPI(responses={"5XX": {"model": Problem}, 418: {"description": "Short and stout"}})
    of_class = framework.responses

    @app.get(
        "/models",
        responses={
            200: {"content": {"image/png": {}}, "description": "The item or its picture"},
            404: {"model": Problem},
            "default": {"model": Problem | Part, "description": "Anything else"},
            "4xx": {"headers": {"X-Why": {"schema": {"type": "string"}}}, "links": {"next": {"operationId": "x"}}},
        },
    )
    def models(q: int) -> Item: ...  # type: ignore[empty-body]

    @app.get("/own422", responses={422: {"description": "Mine", "model": Problem}})
    def own_validation_answer(q: int) -> list[Item]: ...  # type: ignore[empty-body]

    @app.get("/range", responses={"4XX": {"description": "Any"}})
    def range_of_answers(q: int) -> Page[Item]: ...  # type: ignore[empty-body]

    @app.get("/html", response_class=of_class.HTMLResponse, responses={409: {"model": Problem}})
    def html() -> str: ...  # type: ignore[empty-body]

    @app.get("/plain", response_class=of_class.PlainTextResponse)
    def plain() -> str: ...  # type: ignore[empty-body]

    @app.get("/file", response_class=of_class.FileResponse, responses={404: {"model": Problem}})
    def file() -> str: ...  # type: ignore[empty-body]

    @app.get("/redirect", response_class=of_class.RedirectResponse)
    def redirect() -> str: ...  # type: ignore[empty-body]

    @app.get("/untyped", response_model=None)
    def untyped() -> Part | dict[str, Any]: ...  # type: ignore[empty-body]

    return app


def security(framework: Framework) -> Any:
    """Every scheme, scopes along nested dependencies, and security of a whole router."""
    schemes = framework.security
    depends, needs = framework.Depends, framework.Security
    app = framework.FastAPI(dependencies=[depends(schemes.APIKeyHeader(name="X-Key", description="The team's"))])
    oauth = schemes.OAuth2PasswordBearer(tokenUrl="token", refreshUrl="again", scopes={"read": "See", "write": "Do"})

    def user(token: Annotated[str, depends(oauth)], scopes: schemes.SecurityScopes) -> str:
        return token

    def active(name: Annotated[str, needs(user, scopes=["read"])]) -> str:
        return name

    @app.get("/scoped")
    def scoped(name: Annotated[str, needs(active, scopes=["write", "read"])]) -> None: ...

    @app.get("/twice")
    def twice(first: Annotated[str, needs(user, scopes=["read"])], second: Annotated[str, depends(user)]) -> None: ...

    others = {
        "query": schemes.APIKeyQuery(name="key", scheme_name="KeyInQuery"),
        "cookie": schemes.APIKeyCookie(name="key", auto_error=False),
        "basic": schemes.HTTPBasic(realm="here", description="Old"),
        "bearer": schemes.HTTPBearer(bearerFormat="JWT"),
        "digest": schemes.HTTPDigest(),
        "base": schemes.http.HTTPBase(scheme="negotiate"),
        "code": schemes.OAuth2AuthorizationCodeBearer(authorizationUrl="/a", tokenUrl="/t", scopes={"all": ""}),
        "oauth": schemes.OAuth2(flows={"clientCredentials": {"tokenUrl": "/t", "scopes": {}}}),
        "connect": schemes.OpenIdConnect(openIdConnectUrl="/.well-known"),
    }
    for name, scheme in others.items():

        @app.get(f"/{name}", name=name)
        def guarded(credentials: Annotated[Any, depends(scheme)]) -> None: ...

    router = framework.APIRouter(prefix="/team", tags=["team"], dependencies=[needs(oauth, scopes=["write"])])

    @router.post("/login")
    def login(form: Annotated[schemes.OAuth2PasswordRequestForm, depends()]) -> None: ...

    app.include_router(router, responses={401: {"description": "Who?"}})
    return app


def callbacks_and_webhooks(framework: Framework) -> Any:
    """Operations the API calls: callbacks, nested ones too, and webhooks with security."""
    app = framework.FastAPI()
    inner, outer = framework.APIRouter(), framework.APIRouter()

    @inner.get("{$request.body.url}/ack")
    def acknowledge(page: Page[Part]) -> None: ...

    @outer.post("{$callback_url}/events", callbacks=inner.routes)
    def event(body: Problem, key: str) -> Part: ...  # type: ignore[empty-body]

    @app.post("/subscribe", callbacks=outer.routes)
    def subscribe(callback_url: str | None = None) -> None: ...

    @app.webhooks.post("new-item", dependencies=[framework.Depends(framework.security.HTTPBearer())])
    def new_item(item: Item) -> None:
        """Sent when an item is made."""

    return app


def included_routers(framework: Framework) -> Any:
    """Routers in routers; what each level adds, routes added late, mounts and plain routes left out."""
    app = framework.FastAPI(root_path="/api", generate_unique_id_function=lambda route: f"app-{route.name}")
    inner = framework.APIRouter(tags=["inner"], default_response_class=framework.responses.HTMLResponse)
    outer = framework.APIRouter(
        prefix="/outer", deprecated=True, generate_unique_id_function=lambda route: f"outer-{route.name}"
    )

    def page(number: int = 1) -> int:
        return number

    @inner.get("/page")
    def early(q: int) -> str: ...  # type: ignore[empty-body]

    outer.include_router(inner, prefix="/inner/{section}", dependencies=[framework.Depends(page)])
    app.include_router(outer, tags=["app"], responses={404: {"description": "Nowhere"}})
    app.include_router(outer, prefix="/again", include_in_schema=False)

    @inner.put("/late")
    def late(item: Item) -> str: ...  # type: ignore[empty-body]

    app.mount("/mounted", framework.FastAPI())
    app.add_route("/plain", lambda request: None)
    return app


def streams(framework: Framework) -> Any:
    """Items yielded as JSON lines and as server-sent events."""
    app = framework.FastAPI()
    events = framework.sse.EventSourceResponse

    @app.get("/lines")
    async def lines() -> AsyncIterable[Item]:
        yield Item(id=1)

    @app.get("/untyped-lines")
    def untyped_lines() -> Iterable:  # type: ignore[type-arg]
        yield 1

    @app.get("/events", response_class=events)
    def typed_events(last: str = "") -> Iterable[Part]:
        yield Part(name="a", size=1)

    @app.get("/untyped-events", response_class=events)
    async def untyped_events():  # type: ignore[no-untyped-def]
        yield 1

    return app


def separate_schemas(framework: Framework) -> Any:
    """A model that reads and writes differently gets two names."""
    app = framework.FastAPI()

    @app.post("/items")
    def items(item: Item, page: Page[Item]) -> Page[Item]: ...  # type: ignore[empty-body]

    return app


def joined_schemas(framework: Framework) -> Any:
    """The same with one name a model, as far as computed fields allow."""
    app = framework.FastAPI(separate_input_output_schemas=False)

    @app.post("/items")
    def items(item: Item, page: Page[Item]) -> Page[Item]: ...  # type: ignore[empty-body]

    @app.post("/parts")
    def parts(part: Part) -> list[Part]: ...  # type: ignore[empty-body]

    return app


def same_names(framework: Framework) -> Any:
    """Two models of one name."""
    app = framework.FastAPI()
    first, second = (type("Part", (BaseModel,), {"__module__": module}) for module in ("one", "two"))

    @app.post("/first", response_model=first)
    def of_first(part: second) -> None: ...  # type: ignore[valid-type]

    @app.post("/third")
    def of_third(part: Part) -> None: ...

    return app


def metadata(framework: Framework) -> Any:
    """Everything the document says about the API itself."""
    return framework.FastAPI(
        title="Shop",
        summary="Sells",
        description="At length",
        version="7",
        terms_of_service="https://example.com/terms",
        contact={"name": "We", "url": "https://example.com", "email": "we@example.com", "x-team": None},
        license_info={"name": "MIT", "identifier": "MIT"},
        servers=[{"url": "https://{zone}.example.com", "variables": {"zone": {"default": "eu", "enum": ["eu", "us"]}}}],
        openapi_tags=[{"name": "shop", "externalDocs": {"url": "https://example.com/docs"}}],
        openapi_external_docs={"description": "More", "url": "https://example.com/more"},
    )


def openapi_itself(framework: Framework) -> Any:
    """The models of the document as the models of an operation."""
    app = framework.FastAPI()
    app.post("/check", response_model=framework.openapi.models.Operation)(lambda: None)
    return app


BUILDERS: list[Builder] = [
    parameters,
    parameter_models,
    bodies,
    operations,
    responses,
    security,
    callbacks_and_webhooks,
    included_routers,
    streams,
    separate_schemas,
    joined_schemas,
    same_names,
    metadata,
    openapi_itself,
]


def document(builder: Builder, framework: str) -> dict[str, Any]:
    built: dict[str, Any] = builder(Framework(framework)).openapi()
    return built


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_document_equals_fastapis(builder: Builder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # models written to be odd; warnings have tests of their own
        ours, theirs = (document(builder, framework) for framework in ("ferroapi", "fastapi"))
    assert ours == theirs
    assert json.dumps(ours) == json.dumps(theirs), "the order of keys differs"


def test_document_is_cached() -> None:
    app = parameters(Framework("ferroapi"))
    assert app.openapi() is app.openapi()


@pytest.mark.parametrize("status", ["bad", "20X", "2xxx"])
def test_document_refuses_an_additional_response_without_a_status(status: str) -> None:
    framework = Framework("ferroapi")
    app = framework.FastAPI()
    app.get("/", responses={status: {"description": "What?"}})(lambda: None)
    with pytest.raises(ValueError, match="invalid literal for int"):
        app.openapi()


def test_document_warns_about_an_operation_id_used_twice() -> None:
    app = Framework("ferroapi").FastAPI()

    @app.get("/", operation_id="same")
    @app.post("/", operation_id="same")
    def endpoint() -> None: ...

    with pytest.warns(UserWarning, match=rf"^Duplicate Operation ID same for function endpoint at .*{__name__[-9:]}"):
        app.openapi()


def test_document_has_the_usual_status_for_a_response_class_that_names_none() -> None:
    """FastAPI answers such a document with UnboundLocalError."""
    framework = Framework("ferroapi")

    class Own(framework.responses.Response):  # type: ignore[misc]
        def __init__(self, content: Any) -> None:
            super().__init__(content)

    app = framework.FastAPI()
    app.get("/", response_class=Own, response_model=None)(lambda: None)
    assert list(app.openapi()["paths"]["/"]["get"]["responses"]) == ["200"]
