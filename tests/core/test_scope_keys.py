"""Keys of a scope are looked for where they stood in the last one: every order, and every lack, answers as before."""

import asyncio
from importlib import import_module
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "server": ("test", 80),
    "client": ("test", 1),
    "scheme": "http",
    "method": "GET",
    "root_path": "",
    "path": "/items/7",
    "raw_path": b"/items/7",
    "query_string": b"q=tea",
    "headers": [(b"x-token", b"t")],
    "state": {},
}


def application(framework: Any) -> Any:
    app = framework.FastAPI()

    @app.get("/items/{item_id}")
    async def read_item(item_id: int, q: str, x_token: str = framework.Header()) -> list[Any]:
        return [item_id, q, x_token]

    return app


APPLICATIONS = [application(import_module(name)) for name in ("fastapi", "ferroapi")]


async def answer(app: Any, scope: dict[Any, Any]) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append((message.get("status"), message.get("body")))

    try:
        await app(scope, receive, send)
    except Exception as error:
        return type(error), str(error)
    return sent


class Text(str):
    """A key that is no plain text."""


@st.composite
def scopes(draw: st.DrawFn) -> dict[Any, Any]:
    keys = draw(st.permutations(list(SCOPE)))
    keys = keys[: draw(st.sampled_from([len(keys), len(keys), len(keys) - 1, len(keys) - 3]))]
    kinds = {key: draw(st.sampled_from(["interned", "interned", "equal", "subclass"])) for key in keys}
    made = {"interned": str, "equal": lambda key: "".join(list(key)), "subclass": Text}
    # What is taken out again leaves a gap in the dict.
    gaps = {f"x-{index}": None for index in range(draw(st.integers(0, 3)))}
    scope = gaps | {made[kinds[key]](key): SCOPE[key] for key in keys}
    for name in gaps:
        del scope[name]
    return scope


@given(st.lists(scopes(), min_size=1, max_size=40))
def test_scope_keys_in_any_order_are_read_as_by_fastapi(drawn: list[dict[Any, Any]]) -> None:
    async def answers(app: Any) -> list[Any]:
        return [await answer(app, scope.copy()) for scope in drawn]

    theirs, ours = (asyncio.run(answers(app)) for app in APPLICATIONS)
    assert ours == theirs
