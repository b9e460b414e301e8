"""`app.resolve`: what a function outside of a request is given, and when that is closed."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio
import pytest

from ferroapi import BackgroundTasks, Body, Depends, FastAPI, Header, Request
from ferroapi.exceptions import FastAPIError
from ferroapi.security import OAuth2PasswordBearer, SecurityScopes
from ferroapi.testclient import AsyncTestClient

seen: list[str] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


async def session() -> AsyncIterator[str]:
    seen.append("session")
    yield "session"
    seen.append("session closed")


def lock() -> Iterator[str]:
    seen.append("lock")
    yield "lock"
    seen.append("lock closed")


class Repository:
    def __init__(self, session: Annotated[str, Depends(session)], limit: int = 5) -> None:
        self.found = session, limit


async def report(
    repository: Annotated[Repository, Depends()],
    session: Annotated[str, Depends(session)],
    lock: Annotated[str, Depends(lock, scope="function")],
    scopes: SecurityScopes,
) -> list[Any]:
    return [*repository.found, session, lock, scopes.scopes]


def resolved(app: FastAPI, function: Any) -> Any:
    async def main() -> Any:
        async with app.resolve(function) as value:
            seen.append("used")
            return value

    return anyio.run(main)


def test_resolve_calls_a_function_with_what_it_depends_on_and_closes_it() -> None:
    assert resolved(FastAPI(), report) == ["session", 5, "session", "lock", []]
    assert seen == ["session", "lock", "used", "lock closed", "session closed"]


def test_resolve_yields_what_a_generator_yields_and_closes_it() -> None:
    assert resolved(FastAPI(), session) == "session"
    assert seen == ["session", "used", "session closed"]


def test_resolve_has_overrides() -> None:
    app = FastAPI()
    app.dependency_overrides[session] = lambda: "fake"
    assert resolved(app, report)[:3] == ["fake", 5, "fake"]

    app.dependency_overrides[report] = lambda limit=1: limit
    assert resolved(app, report) == 1


def test_resolve_throws_what_the_block_raises_into_generators() -> None:
    async def transaction() -> AsyncIterator[None]:
        try:
            yield
        except ValueError:
            seen.append("rolled back")
            raise

    async def main() -> None:
        async with FastAPI().resolve(transaction):
            raise ValueError

    with pytest.raises(ValueError):
        anyio.run(main)
    assert seen == ["rolled back"]


def test_resolve_shares_the_values_of_a_running_application() -> None:
    app = FastAPI()

    async def pool() -> AsyncIterator[object]:
        seen.append("pool")
        yield object()
        seen.append("pool closed")

    Pool = Annotated[object, Depends(pool, scope="lifespan")]

    @app.get("/")
    async def read(value: Pool) -> int:
        return id(value)

    def take(value: Pool) -> object:
        return value

    async def main() -> None:
        async with AsyncTestClient(app) as client, app.resolve(take) as value:
            assert (await client.get("/")).json() == id(value)
        assert seen == ["pool", "pool closed"]
        async with app.resolve(take):
            assert seen == ["pool", "pool closed", "pool"]

    anyio.run(main)

    assert seen == ["pool", "pool closed"] * 2


def needs_header(x_token: Annotated[str, Header()]) -> None: ...


def needs_body(item: Annotated[int, Body()]) -> None: ...


def needs_request(request: Request) -> None: ...


def needs_tasks(tasks: BackgroundTasks) -> None: ...


def needs_below(value: Annotated[None, Depends(needs_header)]) -> None: ...


def needs_user(token: Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="token"))]) -> None: ...


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (needs_header, '"x_token" of "needs_header"'),
        (needs_body, '"item" of "needs_body"'),
        (needs_request, '"request" of "needs_request"'),
        (needs_tasks, '"tasks" of "needs_tasks"'),
        (needs_below, '"x_token" of "needs_header"'),
        (needs_user, '"request" of "OAuth2PasswordBearer"'),
    ],
)
def test_resolve_names_the_parameter_that_only_a_request_has(function: Any, names: str) -> None:
    with pytest.raises(FastAPIError, match=f"The parameter {names} is something that only a request has"):
        FastAPI().resolve(function)


def test_resolve_checks_what_stands_in_place_of_a_dependency() -> None:
    app = FastAPI()
    app.dependency_overrides[needs_header] = lambda: None
    assert resolved(app, needs_below) is None

    app.dependency_overrides[needs_header] = needs_request
    with pytest.raises(FastAPIError, match='"request" of "needs_request"'):
        app.resolve(needs_below)


def test_resolve_validates_defaults_as_a_request_without_them_does() -> None:
    def count(limit: int = 3, tags: tuple[str, ...] = ()) -> Any:
        return limit, tags

    count.__annotations__.pop("tags")
    assert resolved(FastAPI(), count) == (3, ())
