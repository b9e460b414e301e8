"""`dependency_overrides` as an input of the engine: what is called and looked up, and in which order, as by FastAPI."""

import importlib
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

Log = list[Any]
Case = Callable[[Any, Log], list[Any]]
"""Builds an application, makes requests and returns what came of them."""

CASES: list[Case] = []


def case(function: Case) -> Case:
    CASES.append(function)
    return function


def client(framework: Any, app: Any) -> Any:
    return importlib.import_module(f"{framework.__name__}.testclient").TestClient(app, raise_server_exceptions=False)


def get(framework: Any, app: Any, path: str = "/", **options: Any) -> Any:
    response = client(framework, app).get(path, **options)
    return response.status_code, response.text


def graph(f: Any, log: Log) -> tuple[Any, dict[str, Any]]:
    """A route with three levels, a shared node, one that refuses sharing, generators and a scheme."""

    def leaf(q: int = 0) -> int:
        log.append(f"leaf {q}")
        return q

    async def shared(leaf: int = f.Depends(leaf)) -> str:
        log.append("shared")
        return f"shared {leaf}"

    async def generator(shared: str = f.Depends(shared), fresh: int = f.Depends(leaf, use_cache=False)) -> Any:
        log.append("open")
        yield f"generator {shared} {fresh}"
        log.append("close")

    def scoped(scopes: f.security.SecurityScopes, shared: str = f.Depends(shared)) -> Any:
        log.append(scopes.scopes)
        return scopes.scopes

    app = f.FastAPI()

    @app.get("/")
    async def root(
        one: str = f.Depends(shared),
        two: str = f.Depends(generator),
        three: Any = f.Security(scoped, scopes=["a", "b"]),
    ) -> Any:
        log.append("endpoint")
        return [one, two, three]

    return app, {"leaf": leaf, "shared": shared, "generator": generator, "scoped": scoped}


def plain(x: int = 7) -> Any:
    return f"plain {x}"


async def coroutine(y: str) -> Any:
    return f"coroutine {y}"


def synchronous(z: float = 1.5) -> Iterator[Any]:
    yield f"synchronous {z}"


async def asynchronous(header: Annotated[str | None, "none"] = None) -> Any:
    yield f"asynchronous {header}"


class Made:
    def __init__(self, x: int = 1) -> None:
        self.x = x

    def __str__(self) -> str:
        return f"made {self.x}"


class Called:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self, q: int = 3) -> Any:
        return f"called {q}"


def failing() -> Any:
    raise ValueError("an override")


def unanalyzable(app: "Unknown") -> Any:  # type: ignore[name-defined] # noqa: F821
    return app


REPLACEMENTS = (plain, coroutine, synchronous, asynchronous, Made, Called(), failing, lambda: "lambda", print)


@pytest.mark.parametrize("replacement", REPLACEMENTS)
@pytest.mark.parametrize("replaced", ["leaf", "shared", "generator", "scoped"])
def test_overriding_callable_is_called_as_by_fastapi(replaced: str, replacement: Any) -> None:
    found: list[Any] = []
    for framework in ("fastapi", "ferroapi"):
        f, log = importlib.import_module(framework), []
        importlib.import_module(f"{framework}.security")
        app, dependencies = graph(f, log)
        own: list[Any] = [get(f, app, params={"q": 1})]
        app.dependency_overrides[dependencies[replaced]] = replacement
        for _ in range(2):
            own.append(get(f, app, params={"q": 1, "y": "given"}))
            own.append(get(f, app, params={"q": "none", "x": "none"}))
        app.dependency_overrides[dependencies["leaf"]] = lambda: 99
        own.append(get(f, app, params={"y": "again"}))
        app.dependency_overrides.clear()
        own.append(get(f, app, params={"q": 1}))
        found.append((own, log))
    assert found[0] == found[1]


@case
def overrides_of_overrides(f: Any, log: Log) -> list[Any]:
    def real() -> Any: ...
    def below() -> Any: ...
    def instead(value: Any = f.Depends(below), q: int = 1) -> Any:
        log.append("instead")
        return ["instead", value, q]

    app = f.FastAPI()

    @app.get("/")
    def root(value: Any = f.Depends(real), again: Any = f.Depends(real)) -> Any:
        return [value, again]

    app.dependency_overrides = {real: instead, below: lambda: "below"}
    first = get(f, app)
    app.dependency_overrides = {real: instead, below: lambda w="w": w}
    return [first, get(f, app, params={"w": "2", "q": "x"}), get(f, app, params={"w": "2"})]


@case
def mapping_of_its_own(f: Any, log: Log) -> list[Any]:
    class Container(dict[Any, Any]):
        def get(self, call: Any, default: Any = None) -> Any:
            log.append(("looked up", call.__name__))
            return self.make if call.__name__ in ("leaf", "scoped") else default

        def make(self, s: int = 5) -> Any:
            return f"made {s}"

    app, _ = graph(f, log)
    app.dependency_overrides = Container(any=True)
    return [get(f, app), get(f, app, params={"s": "8"}), get(f, app, params={"s": "none"})]


@case
def callables_made_for_each_lookup(f: Any, log: Log) -> list[Any]:
    class Container:
        def get(self, call: Any, default: Any) -> Any:
            log.append(("looked up", call.__name__))
            count = len(log)
            return lambda: f"{call.__name__} {count}"

    app, _ = graph(f, log)
    app.dependency_overrides = Container()
    return [get(f, app) for _ in range(12)]


@case
def answers_that_change_while_a_request_is_solved(f: Any, log: Log) -> list[Any]:
    app = f.FastAPI()

    def late() -> Any:
        return "late"

    async def early() -> Any:
        app.dependency_overrides[late] = lambda late=f.Query("given"): f"overridden {late}"
        return "early"

    @app.get("/")
    async def root(one: Any = f.Depends(early), two: Any = f.Depends(late), three: Any = f.Depends(late)) -> Any:
        return [one, two, three]

    app.dependency_overrides[log.append] = print
    first = get(f, app, params={"late": "x"})
    app.dependency_overrides.pop(late)
    return [first, get(f, app), get(f, app, params={"late": "y"})]


@case
def override_that_cannot_be_analyzed(f: Any, log: Log) -> list[Any]:
    app, dependencies = graph(f, log)
    found = []
    for replacement in (unanalyzable, None, 3, "text"):
        app.dependency_overrides[dependencies["scoped"]] = replacement
        found.append(get(f, app))
    app.dependency_overrides.clear()
    return [*found, get(f, app)]


@case
def dependencies_that_cannot_be_looked_up(f: Any, log: Log) -> list[Any]:
    app = f.FastAPI()

    @app.post("/")
    async def root(body: dict[str, int], value: Any = f.Depends(Called())) -> Any:
        return value

    app.dependency_overrides[print] = print
    requests = client(f, app)
    return [requests.post("/", json={}).text, requests.post("/", content=b"{").text]


@case
def overrides_that_are_no_mapping(f: Any, log: Log) -> list[Any]:
    app, _ = graph(f, log)
    app.dependency_overrides = None
    found = [get(f, app)]
    app.dependency_overrides = 5
    found.append(get(f, app))
    del app.dependency_overrides
    return [*found, get(f, app)]


@case
def provider_that_is_false(f: Any, log: Log) -> list[Any]:
    def real() -> Any:
        return "real"

    class Provider:
        given = False

        def __init__(self) -> None:
            self.dependency_overrides = {real: lambda: "overridden"}

        def __bool__(self) -> bool:
            return self.given

    provider = Provider()
    router = f.APIRouter(dependency_overrides_provider=provider)

    @router.get("/")
    def root(value: Any = f.Depends(real)) -> Any:
        return value

    app = f.FastAPI()
    app.mount("/sub", router)
    found = [get(f, app, "/sub/")]
    provider.given = True
    return [*found, get(f, app, "/sub/")]


@case
def applications_in_applications(f: Any, log: Log) -> list[Any]:
    def real() -> Any:
        return "real"

    router = f.APIRouter(dependencies=[f.Depends(real)])

    @router.get("/in")
    def inside(value: Any = f.Depends(real)) -> Any:
        return value

    outer, sub = f.FastAPI(), f.FastAPI()
    sub.include_router(router)
    outer.include_router(router, prefix="/included")
    outer.mount("/sub", sub)
    found = []
    for app in (outer, sub):
        app.dependency_overrides[real] = lambda: "overridden"
        found += [get(f, outer, "/included/in"), get(f, outer, "/sub/in")]
    return found


@case
def request_and_response_objects(f: Any, log: Log) -> list[Any]:
    def real() -> Any:
        return "real"

    async def instead(request: Request, response: Response, tasks: f.BackgroundTasks) -> Any:
        response.headers["x-override"] = request.url.path
        response.status_code = 201
        tasks.add_task(log.append, "task")
        request.scope["fastapi_function_astack"].callback(log.append, "left the stack")
        yield "instead"
        log.append("closed")

    app = f.FastAPI()

    @app.get("/")
    async def root(value: Any = f.Depends(real)) -> Any:
        log.append("endpoint")
        return value

    app.dependency_overrides[real] = instead
    response = client(f, app).get("/")
    return [response.status_code, response.text, response.headers.get("x-override")]


@case
def bodies(f: Any, log: Log) -> list[Any]:
    def real(a: int = f.Body(embed=True)) -> Any:
        return ["real", a]

    def other(b: list[int] = f.Body()) -> Any:
        return ["other", b]

    def form(c: str = f.Form("c")) -> Any:
        return ["form", c]

    app = f.FastAPI()

    @app.post("/json")
    def json(value: Any = f.Depends(real)) -> Any:
        return value

    @app.post("/form")
    def of_form(d: str = f.Form(), value: Any = f.Depends(form)) -> Any:
        return [d, value]

    @app.get("/none")
    def none(value: Any = f.Depends(plain)) -> Any:
        return value

    requests = client(f, app)
    found = []
    for replacement in (real, other, form, lambda file=f.File(b""): ["file", str(file)]):
        app.dependency_overrides = {real: replacement, form: replacement, plain: replacement}
        found += [
            requests.post("/json", json={"a": 1, "b": [2], "c": "d"}).text,
            requests.post("/json", json=[1]).text,
            requests.post("/form", data={"d": "x", "c": "y", "a": "1", "b": "2"}).text,
            requests.post("/form", data={"d": "x"}, files={"file": ("name", b"content")}).text,
            requests.get("/none").text,
        ]
    return found


@case
def websockets(f: Any, log: Log) -> list[Any]:
    def real() -> Any:
        return "real"

    async def instead(socket: WebSocket, q: int = 1) -> Any:
        yield [socket.url.path, q]
        log.append("closed")

    app = f.FastAPI()

    @app.websocket("/")
    async def root(socket: WebSocket, value: Any = f.Depends(real)) -> None:
        await socket.accept()
        await socket.send_json(value)
        await socket.close()

    found = []
    for overrides in ({}, {print: print}, {real: instead}, {}):
        app.dependency_overrides = overrides
        with client(f, app).websocket_connect("/?q=3") as socket:
            found.append(socket.receive_json())
    return found


@case
def limited_dependencies(f: Any, log: Log) -> list[Any]:
    def real() -> Any:
        return "real"

    def generator(q: int = 1) -> Any:
        log.append("open")
        yield f"generator {q}"
        log.append("close")

    app = f.FastAPI()

    @app.get("/")
    async def root(value: Any = f.Depends(real, max_concurrency=1)) -> Any:
        return value

    found = [get(f, app)]
    for replacement in (plain, generator, asynchronous, coroutine):
        app.dependency_overrides[real] = replacement
        found.append(get(f, app, params={"y": "1"}))
    return found


@case
def overrides_that_depend_on_what_they_override(f: Any, log: Log) -> list[Any]:
    """Each goes on until Python's limit is reached: the request fails soon, and holds nobody up meanwhile."""

    def other() -> Any:
        log.append("other")

    def real() -> Any:
        log.append("real")

    def itself(value: Any = f.Depends(real)) -> Any:
        log.append("called")

    def itself_twice(other: Any = f.Depends(other), one: Any = f.Depends(real), two: Any = f.Depends(real)) -> Any:
        log.append("called")

    def around(value: Any = f.Depends(other)) -> Any:
        log.append("called")

    app = f.FastAPI()

    @app.get("/")
    def root(value: Any = f.Depends(real)) -> Any:
        return "answered"

    @app.websocket("/")
    async def connect(socket: WebSocket, value: Any = f.Depends(real)) -> None:
        await socket.accept()

    test_client = importlib.import_module(f"{f.__name__}.testclient").TestClient
    found = []
    for overrides in ({real: itself}, {real: itself_twice}, {real: around, other: itself}, {}):
        app.dependency_overrides = overrides
        for connect_by in (test_client(app).get, lambda path: test_client(app).websocket_connect(path).__enter__()):
            try:
                found.append(type(connect_by("/")).__name__)
            except RecursionError:
                found.append("RecursionError")
    return found


@case
def mapping_that_ends_what_depends_on_itself(f: Any, log: Log) -> list[Any]:
    def real() -> Any:
        return ["real"]

    def itself(value: Any = f.Depends(real)) -> Any:
        return [*value, "override"]

    class FirstFive(dict[Any, Any]):
        def get(self, call: Any, default: Any = None) -> Any:
            log.append("asked")
            return itself if call is real and log.count("asked") <= 5 else default

    app = f.FastAPI()
    app.dependency_overrides = FirstFive(any=True)

    @app.get("/")
    def root(value: Any = f.Depends(real, use_cache=False)) -> Any:
        return value

    return [get(f, app)]


@pytest.mark.parametrize("make", CASES, ids=lambda each: each.__name__)
def test_overrides_are_as_under_fastapi(make: Case) -> None:
    found = []
    for framework in ("fastapi", "ferroapi"):
        f, log = importlib.import_module(framework), []  # type: tuple[Any, Log]
        importlib.import_module(f"{framework}.security")
        found.append((make(f, log), log))
    assert found[0] == found[1]
    assert found[0][0]


def test_route_keeps_a_bounded_number_of_plans() -> None:
    import gc
    import weakref

    import ferroapi

    def real() -> Any: ...

    app = ferroapi.FastAPI()

    @app.get("/")
    async def root(value: Any = ferroapi.Depends(real)) -> Any:
        return value

    references = []
    for number in range(40):

        def instead(number: int = number) -> Any:
            return number

        app.dependency_overrides[real] = instead
        assert get(ferroapi, app) == (200, str(number))
        references.append(weakref.ref(instead))
    del instead
    app.dependency_overrides.clear()
    gc.collect()
    kept = sum(reference() is not None for reference in references)
    assert 0 < kept < 20
