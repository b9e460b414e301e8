"""Mistakes are shown near to where they were made: with fewer frames than FastAPI shows, the user's own among them."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import pytest
from starlette.testclient import TestClient


class NoField:
    """A class that pydantic has no schema for."""


def unknown_parameter(framework: Any) -> None:
    async def endpoint(value: NoField) -> None: ...

    framework.FastAPI().get("/")(endpoint)


def unknown_response(framework: Any) -> None:
    async def endpoint() -> NoField:
        return NoField()

    framework.FastAPI().get("/")(endpoint)


def query_in_the_path(framework: Any) -> None:
    async def endpoint(value: int = framework.Query(1)) -> None: ...

    framework.APIRouter().get("/{value}")(endpoint)


def default_of_a_path_parameter(framework: Any) -> None:
    framework.Path(default=3)


def wrong_prefix(framework: Any) -> None:
    framework.FastAPI().include_router(framework.APIRouter(), prefix="items")


def body_of_an_empty_answer(framework: Any) -> None:
    async def endpoint() -> dict[str, int]:
        return {}

    framework.FastAPI().get("/", status_code=204)(endpoint)


def unknown_parameter_of_a_dependency(framework: Any) -> None:
    def dependency(value: NoField) -> None: ...

    async def endpoint(found: None = framework.Depends(dependency)) -> None: ...

    framework.FastAPI().get("/")(endpoint)


DECLARATIONS = [
    unknown_parameter,
    unknown_response,
    query_in_the_path,
    default_of_a_path_parameter,
    wrong_prefix,
    body_of_an_empty_answer,
    unknown_parameter_of_a_dependency,
]


def fail() -> None:
    raise LookupError("here")


async def fail_in_the_loop() -> None:
    fail()


def endpoint(framework: Any) -> Any:
    app = framework.FastAPI()
    app.get("/")(fail_in_the_loop)
    return app


def plain_endpoint(framework: Any) -> Any:
    app = framework.FastAPI()
    app.get("/")(fail)
    return app


def dependency(framework: Any) -> Any:
    app = framework.FastAPI(dependencies=[framework.Depends(fail_in_the_loop)])
    app.get("/")(lambda: None)
    return app


def below_a_middleware_function(framework: Any) -> Any:
    app = endpoint(framework)

    @app.middleware("http")
    async def pass_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    return app


APPLICATIONS = [endpoint, plain_endpoint, dependency, below_a_middleware_function]


def frames_of(action: Callable[[], Any]) -> list[traceback.FrameSummary]:
    with pytest.raises(Exception) as raised:
        action()
    return list(traceback.extract_tb(raised.value.__traceback__))


def request(app: Any) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "root_path": ""}
    asyncio.run(app(scope, receive, send))


@pytest.mark.parametrize("declare", DECLARATIONS)
def test_mistake_in_a_declaration_has_few_frames(declare: Callable[[Any], None]) -> None:
    theirs, ours = (frames_of(lambda name=name: declare(import_module(name))) for name in ("fastapi", "ferroapi"))
    assert len(ours) < len(theirs)
    own = [frame for frame in ours if "ferroapi" in frame.filename and "tests" not in frame.filename]
    assert len(own) <= 2, own


@pytest.mark.parametrize("build", APPLICATIONS)
def test_exception_of_user_code_has_few_frames_and_ends_in_it(build: Callable[[Any], Any]) -> None:
    theirs, ours = (
        frames_of(lambda name=name: request(build(import_module(name)))) for name in ("fastapi", "ferroapi")
    )
    assert len(ours) < len(theirs)
    assert ours[-1].name == "fail" == theirs[-1].name


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_exception_of_a_lifespan_or_a_websocket_has_no_more_frames(kind: str) -> None:
    # It stands around each lifespan from its import on, which a dependency of the scope "lifespan" causes.
    import_module("ferroapi._beyond.lifespan_scope")

    def fail_in(name: str) -> list[traceback.FrameSummary]:
        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[None]:
            if kind == "lifespan":
                raise LookupError("of the lifespan")
            yield

        app = import_module(name).FastAPI(lifespan=lifespan)

        @app.websocket("/")
        async def endpoint() -> None:
            raise LookupError("of the endpoint")

        def connect() -> None:
            with TestClient(app) as client, client.websocket_connect("/"):
                pass

        return frames_of(connect)

    theirs, ours = fail_in("fastapi"), fail_in("ferroapi")
    assert len(ours) <= len(theirs)
    assert ours[-1].filename == theirs[-1].filename == __file__


def test_frames_of_others_stay() -> None:
    class Failing:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            raise LookupError("of a type")

    async def endpoint(value: Failing) -> None: ...

    frames = frames_of(lambda: import_module("ferroapi").FastAPI().get("/")(endpoint))
    assert frames[-2].name == "__get_pydantic_core_schema__" or frames[-1].name == "__get_pydantic_core_schema__"


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_unknown_option_ends_in_the_line_that_gives_it(framework: str) -> None:
    app = import_module(framework).FastAPI()
    frames = frames_of(lambda: app.get("/", respose_model=int))
    assert frames[-1].filename == __file__
