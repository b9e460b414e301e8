"""A path operation's signature becomes a `_core.Plan`: what the Rust driver runs instead of the Python conductor.

Compiled once, at the first request that needs it, and again when somebody has edited what it was compiled from.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType
from typing import Any, ClassVar, NamedTuple

from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from ferroapi import _core
from ferroapi._compat import ModelField
from ferroapi._compat.starlette import is_async_callable
from ferroapi._core import Answer, CallKind, Lifetime, Node, Reading, Special, Step
from ferroapi._engine import stand_ins
from ferroapi._engine.body import BodyRecipe
from ferroapi._engine.graph import Graph, is_plain_field, parts_of
from ferroapi._engine.items import ItemSerializer, event_serializer, item_serializer
from ferroapi._engine.response import ResponseRecipe
from ferroapi._engine.source import COMPILED, source_of
from ferroapi._witness import PUBLISHED, Part
from ferroapi.dependencies.models import (
    Dependant,
    _is_async_gen_callable,
    _is_coroutine_callable,
    _is_gen_callable,
)

_TEXT_RESPONSES: dict[type[Response], bytes] = {
    response_class: f"{PUBLISHED[f'{response_class.__name__}.media_type']}; charset=utf-8".encode()
    for response_class in (PlainTextResponse, HTMLResponse)
}
"""The media types that are sent while nobody has set others, which the witness sees."""
_MADE_ON_USE = ("_kept", "_serializers", "_solved")


@dataclass(eq=False)
class _Planned(ABC):
    """What a plan is made of when it is asked for, and again when somebody has edited that."""

    _kept: tuple[_core.Snapshot, _core.Plan] | None = field(default=None, init=False, repr=False)

    @property
    def plan(self) -> _core.Plan:
        """The plan."""
        kept = self._kept
        if kept is None or not kept[0].is_current():
            # Taken before it is read: an edit meanwhile is noticed by the next request.
            source = self._source()
            kept = self._kept = source, self._plan([], source)
        return kept[1]

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has: it makes its own plan."""
        return {name: value for name, value in vars(self).items() if name not in _MADE_ON_USE}

    def mark(self, handler: Any) -> None:
        """Make this operation known by its handler, so that a wrapped handler is told apart from the handler itself."""
        self.handler = handler
        handler.operation = self

    @abstractmethod
    def _source(self) -> _core.Snapshot:
        """Return what is read of the application's, as it is."""

    @property
    def calling_plan(self) -> _core.Plan | None:
        """The plan that runs a request while something is replaced that the plan stands for, None if Python does."""
        return None

    def overridden(self, calls: "list[Callable[..., Any]]") -> "_core.Plan":
        """Return the plan for these answers when the first dependencies are looked up among the overrides.

        For the others it is made as if they were not overridden.

        Raises:
            Exception: what analysing an override raises.
        Source: FastAPI behaviour, `dependencies.utils.solve_dependencies`.
        """
        return self._plan(calls, self._source())

    @abstractmethod
    def _plan(self, calls: "list[Callable[..., Any]]", source: _core.Snapshot) -> "_core.Plan":
        """Compile the plan, with `calls` in the place of the first dependencies."""


class _Declared(_Planned):
    """What a graph of dependencies is declared for, with the endpoint at its end."""

    dependant: Dependant
    dependency_overrides_provider: Any
    embed_body_fields: bool
    body: Any
    """A `BodyRecipe`, None where no body is read."""
    part: ClassVar[int]
    """The part of the engine that runs it."""
    handler_part: ClassVar[int] = 0
    """The part that stands for what its handler calls by name, where there is one."""
    is_websocket: ClassVar[bool] = False

    def _source(self) -> _core.Snapshot:
        return source_of(self.dependant, None)

    @property
    def reading(self) -> Reading:
        """How its body is read."""
        return Reading.UNREAD

    def takes(self, body: Any) -> bool:
        """Tell whether its plans say what is to be done with a body that was read."""
        return self.body is None or not self.body.is_form or type(body) is FormData

    def graph(self, calls: "list[Callable[..., Any]]", kind: CallKind) -> Graph:
        """Return the graph of its dependencies, with the endpoint at its end as a callable of this kind."""
        is_form = self.body is not None and self.body.is_form
        graph = Graph(calls, self.embed_body_fields, is_form, kind, self.is_websocket)
        graph.visit_endpoint(self.dependant)
        return graph

    def make_plan(
        self,
        graph: Graph,
        answer: Answer,
        *,
        parts: int,
        source: _core.Snapshot,
        operation: _Planned,
        **named: int,
    ) -> _core.Plan:
        """Return the plan of a graph that ends with `answer`, in the name of an operation; `parts` are the answer's.

        `named` are the keywords of a plan that say which parts Python can do by name.
        """
        parts |= self.part | parts_of(graph.nodes, self.body)
        return _core.Plan(
            nodes=graph.nodes,
            steps=graph.steps,
            lookups=graph.lookups,
            body=self.reading,
            answer=answer,
            parts=parts,
            **named,
            overrides_provider=self.dependency_overrides_provider,
            source=source,
            operation=operation,
        )

    @cached_property
    def _solved(self) -> "SolvedOperation":
        return SolvedOperation(self)

    def solving_plan(
        self, dependant: Dependant, body: Any, overrides_provider: Any, embed_body_fields: bool
    ) -> "_core.Plan | None":
        """Return the plan that solves its own dependencies, None if these are others or something is replaced."""
        is_its_own = (
            dependant is self.dependant
            and overrides_provider is self.dependency_overrides_provider
            and embed_body_fields == self.embed_body_fields
        )
        # Making the plan calls what may be replaced.
        if not is_its_own or not self.takes(body) or _core.is_replaced(self.part | COMPILED):
            return None
        return plan if (plan := self._solved.plan).is_current() else None


@dataclass(eq=False)
class PathOperation(_Declared):
    """What `get_request_handler` was given, and the plan made of it."""

    dependant: Dependant
    body: BodyRecipe
    response: ResponseRecipe
    embed_body_fields: bool
    is_json_stream: bool
    dependency_overrides_provider: Any
    part = Part.OPERATION
    handler_part = Part.STEP

    def __post_init__(self) -> None:
        # As FastAPI knows it: at declaration, whatever is called later.
        self.is_coroutine = _is_coroutine_callable(self.dependant.call)

    @property
    def returned_errors(self) -> tuple[type[Exception], ...]:
        """The errors that the endpoint may return, by its annotation."""
        return getattr(self.dependant, "returned", ())

    def _source(self) -> _core.Snapshot:
        return source_of(self.dependant, self.response.field)

    @cached_property
    def _serializers(self) -> tuple[ItemSerializer, ItemSerializer]:
        # Made at the first request: declaring builds no validator.
        serialize = item_serializer(self.response)
        return serialize, event_serializer(serialize)

    def serializers(self) -> tuple[ItemSerializer, ItemSerializer]:
        """Return the functions that write an item of a stream, and a server-sent event."""
        if _core.is_replaced(Part.ITEM):
            serialize = item_serializer(self.response, asks=True)
            return serialize, event_serializer(serialize, asks=True)
        return self._serializers

    @property
    def calling_plan(self) -> _core.Plan:
        """The plan that calls the handler, which takes each step by the name that somebody may have replaced."""
        return HandlerOperation(self.handler).plan

    def current_plan(self, body: Any) -> "_core.Plan | None":
        """Return the plan if it says what is to be done with a body that was read, as things are now."""
        return plan if self.takes(body) and (plan := self.plan).is_current() else None

    def _plan(self, calls: "list[Callable[..., Any]]", source: _core.Snapshot) -> "_core.Plan":
        # A callable of another kind that was put in the endpoint's place is called as the endpoint would be.
        kind = CallKind.COROUTINE if self.is_coroutine else CallKind.PLAIN
        if is_stream := self.is_stream():
            kind = CallKind.STREAM
            answer, part = Answer.stream(is_events=self.response.is_event_stream), 0
        else:
            answer, part = _answer(self.response, is_coroutine=self.is_coroutine)
        graph, parts = self.graph(calls, kind), self.handler_part | part | Part.REQUEST
        named = {"named_request": Part.REQUEST}
        if not is_stream:
            # What runs in a worker thread is called by the same names.
            threads = parts_of(graph.nodes) & Part.THREAD
            validates_in_thread = not self.is_coroutine and self.response.field is not None
            named["named_steps"] = Part.STEP | threads
            named["named_serialization"] = Part.SERIALIZATION | (threads if validates_in_thread else 0)
            parts |= Part.SERIALIZATION
        return self.make_plan(graph, answer, parts=parts, source=source, operation=self, **named)

    def is_stream(self) -> bool:
        """Tell whether the endpoint is called on the event loop, and what it returns is sent piece by piece.

        Looked at each time: a tracing package may put another callable into the dependant.
        """
        call = self.dependant.call
        is_generator = _is_gen_callable(call) or _is_async_gen_callable(call)
        return self.response.is_event_stream or self.is_json_stream or is_generator

    @property
    def reading(self) -> Reading:
        """How its body is read."""
        if self.body.is_form:
            is_pythons = self.body.form_limits or self.body.streamed
            return Reading.LIMITED_FORM if is_pythons else Reading.FORM
        if not self.body.field:
            return Reading.UNREAD
        return Reading.JSON if self.body.strict_content_type else Reading.LENIENT_JSON


@dataclass(eq=False)
class SolvedOperation(_Planned):
    """The dependencies of an operation, and the plan that ends with the arguments of its endpoint."""

    operation: _Declared

    @property
    def embed_body_fields(self) -> bool:
        """Whether each field of the body has its name there."""
        return self.operation.embed_body_fields

    def _source(self) -> _core.Snapshot:
        return source_of(self.operation.dependant, None)

    def _plan(self, calls: "list[Callable[..., Any]]", source: _core.Snapshot) -> "_core.Plan":
        graph = self.operation.graph(calls, CallKind.STREAM)
        return self.operation.make_plan(graph, Answer.solved(keys=graph.keys), parts=0, source=source, operation=self)


@dataclass(eq=False)
class HandlerOperation(_Planned):
    """A `Request -> Response` callable that is not `get_request_handler`'s, and the plan that calls it."""

    handler: Callable[..., Any]

    def _source(self) -> _core.Snapshot:
        # FastAPI, too, keeps the handler that it has been given.
        return _core.Snapshot([], [])

    def _plan(self, calls: "list[Callable[..., Any]]", source: _core.Snapshot) -> "_core.Plan":
        dependant = Dependant(call=self.handler, request_param_name="request")
        operation: PathOperation | None = getattr(self.handler, "operation", None)
        sends_stream = operation is not None and not operation.response.is_event_stream
        node = Node(
            call=self.handler,
            kind=CallKind.COROUTINE if is_async_callable(self.handler) else CallKind.PLAIN,
            specials=[Special.request()],
            # The request is given by position.
            keywords=(),
            lifetime=Lifetime.FUNCTION,
            dependant=dependant,
        )
        return _core.Plan(
            nodes=[node],
            steps=[Step.call(0)],
            lookups=[],
            body=Reading.UNREAD,
            answer=Answer.response(sends_stream=sends_stream),
            parts=Part.OPERATION | Part.REQUEST | parts_of([node]),
            named_request=Part.REQUEST,
            overrides_provider=None,
            source=source,
            operation=self,
        )


@dataclass(eq=False)
class CalledOperation(_Declared):
    """A graph of dependencies, and the plan made of it: it ends with the call of the coroutine function at its end."""

    dependant: Dependant
    dependency_overrides_provider: Any
    embed_body_fields: bool
    body = None
    is_coroutine = True
    part = Part.SOCKET

    def _plan(self, calls: "list[Callable[..., Any]]", source: _core.Snapshot) -> "_core.Plan":
        graph = self.graph(calls, CallKind.COROUTINE)
        return self.make_plan(graph, Answer.nothing(), parts=self.handler_part, source=source, operation=self)


@dataclass(eq=False)
class WebSocketOperation(CalledOperation):
    """What a websocket route was made of: the endpoint is called with a `WebSocket`."""

    is_websocket = True
    handler_part = Part.STEP


def _own_operation(handler: Callable[..., Any]) -> Any:
    """Return what a route's handler was made of, None where something is wrapped around it."""
    operation = getattr(handler, "operation", None)
    return operation if operation is not None and operation.handler is handler else None


class BuiltApp(NamedTuple):
    """The ASGI application of a route, as this package built it, and what it was built from."""

    app: Any
    operation: "PathOperation | HandlerOperation | WebSocketOperation | None"


def note_built(app: Any, handler: Any) -> "PathOperation | HandlerOperation":
    """Note with an application of a route what its handler is made from, and return that."""
    operation = _own_operation(handler) or HandlerOperation(handler)
    app.built = BuiltApp(app, operation)
    return operation


def note_around(app: Any, inner: Any) -> None:
    """Note with an application that is around the one of a route what that is made from."""
    built = built_app(inner)
    if built is not None:
        app.built = BuiltApp(app, built.operation)


def note_connecting(app: Any, handler: Any) -> None:
    """Note with the application of a websocket route what its handler is made from, if nothing is around that."""
    app.built = BuiltApp(app, _own_operation(handler))


def built_app(app: Any) -> BuiltApp | None:
    """Return what an application is known to be built from, None for any that this package did not build."""
    # All that are known are functions; the attributes of another object may fail, or count who asks.
    built = vars(app).get("built") if type(app) is FunctionType else None
    # A decorator may have copied the attribute.
    return built if isinstance(built, BuiltApp) and built.app is app else None


def _answer(recipe: ResponseRecipe, *, is_coroutine: bool) -> tuple[Answer, int]:
    """Return the response half of a plan, and the part of the engine that makes it."""
    status = recipe.status_code
    if not (status is None or (isinstance(status, int) and 0 <= status < 1 << 16)):
        # Whatever it is, the response class is given it.
        return Answer.general(status=None), 0
    if recipe.dumps_json and recipe.field is not None and is_plain_field(recipe.field):
        adapter, options = recipe.field._type_adapter, recipe.to_json_options
        model = Answer.model(
            validate=adapter.validator.validate_python,
            to_json=adapter.serializer.to_json,
            options=options,
            serializer=stand_ins.model_serializer(recipe.field, options),
            status=status,
        )
        return model, Part.MODEL
    if recipe.field is None and recipe.response_class is JSONResponse:
        return Answer.json(status=status), Part.JSON
    response_class = recipe.response_class
    if isinstance(response_class, type) and (media_type := _TEXT_RESPONSES.get(response_class)):
        if recipe.field is None:
            return Answer.text(media_type=media_type, status=status), Part.TEXT
        if is_coroutine and _keeps_text(recipe.field, recipe.to_json_options):
            return Answer.text(media_type=media_type, status=status), Part.TEXT | Part.MODEL
    return Answer.general(status=status), 0


def _keeps_text(field: ModelField, serialization: dict[str, Any]) -> bool:
    """Tell whether a text that the endpoint returns comes out of its model as it is: the annotation is `str` alone.

    A worker thread validates what a plain function returns, even a text, and a cancelled request ends before that.
    """
    if field.config or not is_plain_field(field):
        return False
    chooses_fields = any(type(option) is not bool for option in serialization.values())
    schema = {name: value for name, value in field._type_adapter.core_schema.items() if name != "metadata" or value}
    return schema == {"type": "str"} and not chooses_fields
