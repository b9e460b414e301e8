"""`app.resolve`: what a function outside of a request is given, and when that is closed."""

import copy
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio
import pytest

from ferroapi import BackgroundTasks, Body, Depends, FastAPI, Header, Query, Request, _core, routing
from ferroapi._engine.compile import CalledOperation
from ferroapi._engine.reference import solve
from ferroapi.dependencies import utils
from ferroapi.exceptions import FastAPIError, RequestValidationError
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


def test_resolve_runs_the_plan_that_was_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("the Python solver was asked")

    app, plans = FastAPI(), []
    respond = _core.respond

    def noted(plan: Any, *arguments: Any) -> Any:
        plans.append(plan)
        return respond(plan, *arguments)

    monkeypatch.setattr(_core, "respond", noted)
    monkeypatch.setattr(solve, "solve_dependencies", fail)
    for _ in range(3):
        assert resolved(app, report)[:3] == ["session", 5, "session"]

    assert len(plans) == 3
    assert len(set(map(id, plans))) == 1


def test_resolve_asks_a_solver_that_was_put_in_the_place_of_fastapis(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    original = utils.solve_dependencies

    async def noted(**keywords: Any) -> Any:
        asked.append(keywords["dependant"])
        return await original(**keywords)

    monkeypatch.setattr(utils, "solve_dependencies", noted)
    monkeypatch.setattr(routing, "solve_dependencies", noted)

    assert resolved(FastAPI(), report)[:3] == ["session", 5, "session"]
    assert asked


def test_resolve_of_a_copied_application_has_its_own_overrides() -> None:
    app = FastAPI()
    assert resolved(app, report)[0] == "session"
    other = copy.copy(app)
    other.dependency_overrides = {session: lambda: "other"}

    assert resolved(other, report)[0] == "other"
    assert resolved(app, report)[0] == "session"


def test_resolve_keeps_no_application() -> None:
    app = FastAPI()
    resolved(app, report)
    reference = weakref.ref(app)
    del app
    gc.collect()

    assert reference() is None


def test_resolve_says_which_default_does_not_validate() -> None:
    def limited(limit: Annotated[int, Query(gt=10, validate_default=True)] = 5) -> int:
        return limit

    with pytest.raises(RequestValidationError) as raised:
        resolved(FastAPI(), limited)

    assert [error["loc"] for error in raised.value.errors()] == [("query", "limit")]


def test_resolve_refuses_what_cannot_be_hashed_as_a_request_does() -> None:
    class Call:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, session: Annotated[str, Depends(session)]) -> str:
            return f"called with {session}"

    with pytest.raises(TypeError, match="unhashable"):
        resolved(FastAPI(), Call())


def test_resolve_under_overrides_runs_the_plan_that_was_made_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    make_plan = CalledOperation._plan

    def noted(self: Any, *arguments: Any) -> Any:
        compiled.append(arguments)
        return make_plan(self, *arguments)

    analysed: list[Any] = []
    analyse = solve.analyzed_override

    def noted_analysis(*arguments: Any) -> Any:
        analysed.append(arguments)
        return analyse(*arguments)

    monkeypatch.setattr(CalledOperation, "_plan", noted)
    monkeypatch.setattr("ferroapi._beyond.resolve.analyzed_override", noted_analysis)
    app = FastAPI()
    first, second = {session: lambda: "first"}, {session: lambda: "second"}
    made: list[tuple[int, int]] = []
    for _ in range(3):
        for overrides, value in ((first, "first"), (second, "second"), ({}, "session")):
            app.dependency_overrides = overrides
            assert resolved(app, report)[0] == value
        made.append((len(compiled), len(analysed)))

    # `session` is declared in two places: a plan, and an analysis, for each of them and each set. One plan without.
    assert made == [(5, 4)] * 3


def test_resolve_checks_a_function_that_was_first_resolved_under_overrides() -> None:
    app = FastAPI()
    app.dependency_overrides[needs_header] = lambda: None
    assert resolved(app, needs_below) is None

    del app.dependency_overrides[needs_header]
    for _ in range(2):
        with pytest.raises(FastAPIError, match='"x_token" of "needs_header"'):
            app.resolve(needs_below)


def test_resolve_checks_under_a_mapping_that_is_no_dict() -> None:
    class Overrides(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            return (lambda: "found") if key is needs_header else default

        def __bool__(self) -> bool:
            return True

    app = FastAPI()
    app.dependency_overrides = Overrides()
    assert [resolved(app, needs_header) for _ in range(2)] == ["found"] * 2


@pytest.mark.parametrize("wrong, told", [(3, "a function or a class, not 3"), (Depends(print), "the function itself")])
def test_what_cannot_be_called_is_refused(wrong: Any, told: str) -> None:
    with pytest.raises(FastAPIError, match=f"^`app.resolve` takes {told}"):
        FastAPI().resolve(wrong)
