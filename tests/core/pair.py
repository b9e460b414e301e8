"""One operation under FastAPI and under ferroapi's native driver; what reaches the endpoint is compared."""

import asyncio
import importlib
import inspect
import warnings
from collections.abc import Mapping
from typing import Annotated, Any

from ferroapi._routing.entries import plan_of

from .asgi import Answer, ask, http_scope


class Pair:
    """The same operation twice; a parameter is given as its type, its marker's name and options, its default."""

    def __init__(self, path: str, method: str = "GET", **parameters: Any) -> None:
        self.received: dict[str, list[Any]] = {"fastapi": [], "ferroapi": []}
        self.apps = {framework: self._build(framework, path, method, parameters) for framework in self.received}
        for app in self.apps.values():
            asyncio.run(ask(app, http_scope("/nowhere", "TRACE")))

    def _build(self, framework: str, path: str, method: str, parameters: Mapping[str, Any]) -> Any:
        fastapi = importlib.import_module(framework)
        received = self.received[framework]

        async def endpoint(**values: Any) -> str:
            received.append(values)
            return "received"

        signature = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=Annotated[type_, getattr(fastapi, marker)(**options)],
                default=inspect.Parameter.empty if default is ... else default,
            )
            for name, (type_, marker, options, default) in parameters.items()
        ]
        endpoint.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
        app = fastapi.FastAPI(openapi_url=None)
        app.add_api_route(path, endpoint, methods=[method])
        if framework == "ferroapi":
            plan, reason = plan_of(app.router.routes[0])
            assert plan is not None, reason
        return app

    def ask(self, scope: dict[str, Any], *chunks: bytes) -> dict[str, tuple[Answer, str]]:
        """The answer of each framework, and a text of what its endpoint received, if it was called."""
        found = {}
        for framework, app in self.apps.items():
            self.received[framework].clear()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = asyncio.run(ask(app, dict(scope), *chunks))
            found[framework] = (answer, repr(self.received[framework]))
        return found

    def assert_equal(self, scope: dict[str, Any], *chunks: bytes) -> None:
        found = self.ask(scope, *chunks)
        assert found["ferroapi"] == found["fastapi"]
