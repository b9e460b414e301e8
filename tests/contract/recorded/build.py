"""From the description of a recorded application to the application, and its requests."""

import functools
import importlib
import inspect
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ..drawn import Built, Outcome, PassThrough, Request, run
from .answers import Encoded, declared, returned
from .descriptions import VARIABLE, Drawn, Node, Recorder
from .values import body, parameter


class Builder:
    """Builds one description with one framework."""

    def __init__(self, framework: str, drawn: Drawn) -> None:
        self.fastapi = importlib.import_module(framework)
        self.routing = importlib.import_module(f"{framework}.routing")
        self.drawn = drawn
        self.recorder = Recorder()
        self.functions: dict[int, Callable[..., Any]] = {}
        self.path: list[str] = []
        self.sent: list[tuple[str, str, str]] = []

    def build(self) -> Built:
        fastapi, drawn, answer = self.fastapi, self.drawn, self.drawn.answer
        app = fastapi.FastAPI(openapi_url=None)
        target = fastapi.APIRouter() if drawn.surroundings == "router" else app
        if drawn.surroundings == "handler mode":
            app.router.route_class = self._wrapped_route()
        model = declared(self.recorder, answer.declared)
        make = functools.partial(returned, fastapi, self.recorder, answer.returned, model)
        endpoint = self._function("endpoint", drawn.endpoint, make)
        options: dict[str, Any] = dict(answer.options)
        if answer.rendered:
            options["response_class"] = self._rendered_class()
        path = "".join(f"/{{{name}}}" for name in self.path) or "/"
        target.add_api_route(path, endpoint, methods=["POST"], response_model=model, **options)
        if target is not app:
            app.include_router(target, prefix="/router")
        if drawn.surroundings == "middleware function":
            app.middleware("http")(self._middleware)
        if drawn.surroundings == "middleware class":
            app.add_middleware(PassThrough)
        return Built(app, self.recorder.log, app)

    def _wrapped_route(self) -> Any:
        class WrappedRoute(self.routing.APIRoute):  # type: ignore[misc, name-defined]
            def get_route_handler(self) -> Any:
                handler = super().get_route_handler()

                async def wrapped(request: Any) -> Any:
                    return await handler(request)

                return wrapped

        return WrappedRoute

    def _rendered_class(self) -> Any:
        recorder = self.recorder

        class Rendered(self.fastapi.responses.JSONResponse):  # type: ignore[misc, name-defined]
            def render(self, content: Any) -> bytes:
                recorder.note("answer rendered")
                rendered: bytes = super().render(content)
                return rendered

        return Rendered

    async def _middleware(self, request: Any, call_next: Any) -> Any:
        self.recorder.note("middleware")
        response = await call_next(request)
        self.recorder.note("middleware again")
        return response

    def dependency(self, index: int) -> Callable[..., Any]:
        if index not in self.functions:
            name = f"dependency_{index}"
            self.functions[index] = self._function(name, self.drawn.dependencies[index], lambda: name)
        return self.functions[index]

    def _function(self, name: str, node: Node, make: Callable[[], Any]) -> Callable[..., Any]:
        call = functions(self.recorder, name, make)[node.kind]
        signature = inspect.Signature(self._parameters(name, node))
        if isinstance(call, type) or not inspect.isfunction(call):
            # A class and a callable object show the signature of what is called.
            call.__signature__ = signature  # type: ignore[attr-defined]
            return call
        inspect.unwrap(call).__signature__ = signature  # type: ignore[attr-defined]
        return call

    def _parameters(self, name: str, node: Node) -> list[inspect.Parameter]:
        fastapi, parameters = self.fastapi, []
        kind = inspect.Parameter.KEYWORD_ONLY
        for need in node.needs:
            scope = self.drawn.scope if "generator" in self.drawn.dependencies[need.index].kind else None
            depends = fastapi.Depends(self.dependency(need.index), use_cache=need.use_cache, scope=scope)
            parameters.append(inspect.Parameter(f"need_{len(parameters)}", kind, default=depends))
        for number, value in enumerate(node.values):
            own = f"{name}_{value.source}_{number}"
            parameters.append(parameter(fastapi, self.recorder, own, value))
            if value.source == "path":
                self.path.append(own)
            if value.sent is not None:
                self.sent.append((value.source, "a" if value.how == "model" else own, value.sent))
        if node.body:
            parameters.append(body(fastapi, self.recorder, f"{name}_body", node.body, self.drawn.form))
        if self.drawn.tasks:
            parameters.append(inspect.Parameter("tasks", kind, annotation=fastapi.BackgroundTasks))
        return parameters

    def request(self) -> Request:
        """What is sent: every value in its place, and a body from which each part can be read."""
        of: dict[str, list[tuple[str, str]]] = {"query": [], "header": [], "cookie": [], "path": []}
        for source, name, text in self.sent:
            of[source].append((name, text))
        headers = [(name.replace("_", "-").encode(), text.encode()) for name, text in of["header"]]
        if of["cookie"]:
            headers.append((b"cookie", "; ".join(f"{name}={text}" for name, text in of["cookie"]).encode()))
        names = ["endpoint_body", *(f"dependency_{index}_body" for index in range(len(self.drawn.dependencies)))]
        if self.drawn.form:
            headers.append((b"content-type", b"application/x-www-form-urlencoded"))
            content = "&".join(f"{name}=text" for name in names).encode()
        else:
            headers.append((b"content-type", b"application/json"))
            content = json.dumps({"a": 1, **{name: {"a": 1} for name in names}}).encode()
        prefix = "/router" if self.drawn.surroundings == "router" else ""
        values = dict(of["path"])
        path = "".join(f"/{values[name]}" for name in self.path) or "/"
        query = "&".join(f"{name}={text}" for name, text in of["query"]).encode()
        return Request("POST", prefix + path, query, tuple(headers), (content,))


def functions(recorder: Recorder, name: str, make: Callable[[], Any]) -> dict[str, Any]:
    """A function of every kind that records its call, its way out if it has one, and its wrapper's."""

    def act(values: dict[str, Any]) -> Any:
        recorder.note(name)
        if "tasks" in values:
            values["tasks"].add_task(recorder.note, f"{name} task")
        return make()

    def plain(**values: Any) -> Any:
        return act(values)

    async def coroutine(**values: Any) -> Any:
        return act(values)

    def generator(**values: Any) -> Iterator[Any]:
        result = act(values)
        try:
            yield result
        finally:
            recorder.note(f"{name} ends")

    async def async_generator(**values: Any) -> AsyncIterator[Any]:
        result = act(values)
        try:
            yield result
        finally:
            recorder.note(f"{name} ends")

    class Made:
        def __init__(self, **values: Any) -> None:
            act(values)

    class Called:
        def __call__(self, **values: Any) -> Any:
            return act(values)

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(**values: Any) -> Any:
            recorder.note(f"{name} wrapper")
            return function(**values)

        return wrapper

    return {
        "def": plain,
        "async def": coroutine,
        "generator": generator,
        "async generator": async_generator,
        "class": Made,
        "object": Called(),
        "partial": functools.partial(plain),
        "wrapped def": wrapped(plain),
        "wrapped async def": wrapped(coroutine),
        "wrapped generator": wrapped(generator),
        "wrapped async generator": wrapped(async_generator),
    }


@contextmanager
def reference(framework: str) -> Iterator[None]:
    """Replace a function by a wrapper that does the same: requests are conducted in Python."""
    routing = importlib.import_module(f"{framework}.routing")
    original = routing.solve_dependencies

    @functools.wraps(original)
    async def wrapper(**keywords: Any) -> Any:
        return await original(**keywords)

    routing.solve_dependencies = wrapper
    try:
        yield
    finally:
        routing.solve_dependencies = original


async def serve(framework: str, drawn: Drawn) -> list[Outcome]:
    """What each of the same requests to a new application came to."""
    # FastAPI remembers by its id where an endpoint is written; once that is gone, another may have the id.
    vars(importlib.import_module(f"{framework}.routing")).get("_endpoint_context_cache", {}).clear()
    builder = Builder(framework, drawn)
    encoders = importlib.import_module(f"{framework}.encoders").ENCODERS_BY_TYPE
    built = builder.build()
    request = builder.request()

    def encode(value: Any) -> str:
        builder.recorder.note("encoder")
        return "encoded"

    encoders[Encoded] = encode
    outcomes = []
    conducted = reference(framework) if drawn.surroundings == "reference" else nullcontext()
    try:
        with conducted:
            for number in range(drawn.number_of_requests):
                builder.recorder.tasks.clear()
                VARIABLE.set(f"request {number}")
                outcome = await run(built, request)
                # Where an object is in memory is no difference.
                outcome.raised = outcome.raised and re.sub("0x[0-9a-f]+", "0x", outcome.raised)
                outcomes.append(outcome)
    finally:
        del encoders[Encoded]
    return outcomes
