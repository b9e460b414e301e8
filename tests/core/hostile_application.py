"""Applications that have to read all of what a request holds, whatever it is made of."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, create_model

import ferroapi
from ferroapi.middleware.cors import CORSMiddleware
from ferroapi.middleware.gzip import GZipMiddleware
from ferroapi.middleware.trustedhost import TrustedHostMiddleware
from ferroapi.responses import PlainTextResponse
from ferroapi.security import APIKeyCookie, HTTPBasic, HTTPBearer, HTTPDigest


class Ignoring(BaseModel):
    a: int = 0


class Keeping(Ignoring):
    model_config = ConfigDict(extra="allow")


class Forbidding(Ignoring):
    model_config = ConfigDict(extra="forbid")


class Lists(BaseModel):
    a: list[str] = []
    b: list[int] = []


class Tree(BaseModel):
    value: int
    child: "Tree | None" = None
    anything: list[Any] = []


class First(BaseModel):
    kind: Literal["a"]
    value: int


class Second(BaseModel):
    kind: Literal["b"]
    value: int


Sixty: Any = create_model("Sixty", **{f"field{index}": (int, ...) for index in range(60)})


class HandledRoute(ferroapi.routing.APIRoute):
    """Has a handler of its own around that of each route, so that the request and the response are objects."""

    def get_route_handler(self) -> Callable[[Any], Any]:
        inner = super().get_route_handler()

        async def handle(request: Any) -> Any:
            return await inner(request)

        return handle


def application(route_class: type[ferroapi.routing.APIRoute] = ferroapi.routing.APIRoute) -> Any:
    app = ferroapi.FastAPI()
    app.router.route_class = route_class
    Query, Header, Cookie, Form = ferroapi.Query, ferroapi.Header, ferroapi.Cookie, ferroapi.Form

    @app.get("/path/{a:path}")
    async def path(a: str) -> None: ...

    @app.get("/number/{a}")
    async def number(a: int) -> None: ...

    @app.get("/converted/{a:int}")
    async def converted(a: int) -> None: ...

    @app.get("/five/{a}-{b}-{c}-{d}-{e}")
    async def five(a: str, e: str) -> None: ...

    @app.get("/numbers/{a:float}{b:float}{c:float}{d:float}{e:float}")
    async def five_numbers(a: float, e: float) -> None: ...

    @app.get("/paths/{a:path}-{b}-{c:path}-{d:path}-{e:path}")
    async def five_paths(a: str, e: str) -> None: ...

    @app.get("/plain")
    async def plain() -> None: ...

    @app.get("/scalars")
    async def scalars(
        q: int = 0,
        s: str = "",
        f: float = 0,
        h: Annotated[int, Header()] = 0,
        c: Annotated[str, Cookie()] = "",
    ) -> None: ...

    @app.get("/lists/query")
    async def query_lists(
        q: Annotated[list[str] | None, Query()] = None, n: Annotated[list[int] | None, Query()] = None
    ) -> None: ...

    @app.get("/lists/header")
    async def header_lists(
        q: Annotated[list[str] | None, Header()] = None, n: Annotated[list[int] | None, Header()] = None
    ) -> None: ...

    @app.get("/lists/cookie")
    async def cookie_lists(c: Annotated[list[str] | None, Cookie()] = None) -> None: ...

    for kind in (Ignoring, Keeping, Forbidding, Lists):
        name = kind.__name__.lower()

        @app.get(f"/query/{name}")
        async def query(q: Annotated[kind, Query()]) -> None: ...  # type: ignore[valid-type]

        @app.get(f"/header/{name}")
        async def header(h: Annotated[kind, Header()]) -> None: ...  # type: ignore[valid-type]

        @app.get(f"/cookie/{name}")
        async def cookie(c: Annotated[kind, Cookie()]) -> None: ...  # type: ignore[valid-type]

        @app.post(f"/form/{name}")
        async def form(f: Annotated[kind, Form()]) -> None: ...  # type: ignore[valid-type]

    for name, scheme in {
        "basic": HTTPBasic(auto_error=False),
        "bearer": HTTPBearer(auto_error=False),
        "digest": HTTPDigest(auto_error=False),
        "key": APIKeyCookie(name="c", auto_error=False),
    }.items():

        @app.get(f"/security/{name}")
        async def secured(credentials: Annotated[Any, ferroapi.Depends(scheme)]) -> None: ...

    @app.post("/body/any")
    async def any_body(body: Any = ferroapi.Body()) -> Any:
        return body

    @app.post("/body/read")
    async def read_body(body: Any = ferroapi.Body()) -> None: ...

    @app.post("/body/raw")
    async def raw_body(request: ferroapi.Request) -> int:
        return len(await request.body())

    @app.post("/body/sixty")
    async def sixty(body: Sixty) -> None: ...

    @app.post("/body/tree")
    async def tree(body: Tree) -> None: ...

    @app.post("/body/closed")
    async def closed(body: Forbidding) -> None: ...

    @app.post("/body/integers")
    async def integers(body: list[int]) -> None: ...

    @app.post("/body/mapping")
    async def mapping(body: dict[int, list[int]]) -> None: ...

    @app.post("/body/choice")
    async def choice(body: list[First | Second]) -> None: ...

    @app.post("/body/decimals")
    async def decimals(body: list[Decimal]) -> Any: ...

    @app.post("/form/scalars")
    async def form_scalars(a: Annotated[int, Form()] = 0, b: Annotated[str, Form()] = "") -> None: ...

    @app.post("/form/lists")
    async def form_lists(
        a: Annotated[list[str] | None, Form()] = None, b: Annotated[list[int] | None, Form()] = None
    ) -> None: ...

    @app.post("/form/files")
    async def files(files: list[ferroapi.UploadFile] | None = None, a: Annotated[str, Form()] = "") -> int:
        return len(files or ())

    @app.get("/text")
    async def text(q: str = "") -> Any:
        return q

    @app.get("/header-back")
    async def header_back(q: str = "") -> Any:
        return PlainTextResponse("", headers={"x": q})

    sixty_fields: Any = create_model("SixtyFields", **{f"field{index}": (list[str], []) for index in range(60)})

    @app.get("/query/sixty")
    async def query_sixty(q: Annotated[sixty_fields, Query()]) -> None: ...

    @app.get("/header/sixty")
    async def header_sixty(q: Annotated[sixty_fields, Header()]) -> None: ...

    @app.get("/cookie/sixty")
    async def cookie_sixty(q: Annotated[sixty_fields, Cookie()]) -> None: ...

    @app.post("/form/sixty")
    async def form_sixty(q: Annotated[sixty_fields, Form()]) -> None: ...

    return app


def handled() -> Any:
    return application(HandledRoute)


def wrapped() -> Any:
    app = application()
    app.add_middleware(CORSMiddleware, allow_origins=["http://a"], allow_headers=["x"], allow_methods=["GET"])
    app.add_middleware(GZipMiddleware, minimum_size=10)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["*.example.org", "testserver"])

    @app.middleware("http")
    async def through(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    return app
