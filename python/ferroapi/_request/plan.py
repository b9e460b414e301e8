"""A path operation's signature becomes a `_core.Plan`: what the Rust driver runs instead of the Python conductor.

Compiled once, at the first request that needs it. Where a plan cannot say what FastAPI does, the reason is kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from functools import cached_property, partial
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import CodeType, FunctionType
from typing import Any, NamedTuple
from uuid import UUID

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from ferroapi import _core, params
from ferroapi._compat import ModelField
from ferroapi._request.body import BodyRecipe
from ferroapi._request.items import ItemSerializer, event_serializer, item_serializer
from ferroapi._request.response import ResponseRecipe
from ferroapi._request.scalar import ScalarRecipe, scalar_recipe
from ferroapi._request.shape import response_shape
from ferroapi._witness import Part
from ferroapi.dependencies._body import _is_whole_body
from ferroapi.dependencies._field import RequestField, request_field
from ferroapi.dependencies.models import (
    Dependant,
    _get_cache_key,
    _get_oauth_scopes,
    _is_async_gen_callable,
    _is_coroutine_callable,
    _is_gen_callable,
)
from ferroapi.security import http
from ferroapi.security.api_key import APIKeyBase, APIKeyCookie, APIKeyHeader, APIKeyQuery
from ferroapi.security.oauth2 import OAuth2, OAuth2AuthorizationCodeBearer, OAuth2PasswordBearer, SecurityScopes
from ferroapi.security.open_id_connect_url import OpenIdConnect

_LARGEST_GRAPH = 4096
"""Occurrences of dependencies in one graph, above which it is left to the Python solver."""

_IMMUTABLE = (type(None), str, bytes, int, float, complex, Decimal, UUID, Enum)

_TEXT_RESPONSES = (PlainTextResponse, HTMLResponse)

_FORMS: dict[Any, str] = {
    APIKeyHeader: "key",
    APIKeyQuery: "key",
    APIKeyCookie: "key",
    OAuth2: "key",
    OpenIdConnect: "key",
    OAuth2PasswordBearer: "token",
    OAuth2AuthorizationCodeBearer: "token",
    http.HTTPBase: "any",
    http.HTTPBearer: "bearer",
    http.HTTPDigest: "digest",
    http.HTTPBasic: "basic",
}
"""The schemes whose credentials are read without a call, with the form of these."""

_SCHEME_PARTS = {"key": Part.KEY, "token": Part.OAUTH2}
"""The part that reads credentials of a form; those of the others are taken apart."""


class Unplannable(Exception):
    """A path operation that no plan can run; its text is the reason that `explain` prints."""


class ValueRecipe(NamedTuple):
    """One parameter or body field, as `_core.Plan` takes it."""

    name: str
    source: str
    aliases: list[str]
    many: bool
    absent: str
    default: Any
    validate: Callable[..., Any]
    scalar: ScalarRecipe | None
    field: ModelField


class NodeRecipe(NamedTuple):
    """One dependency, or the endpoint, as `_core.Plan` takes it."""

    call: Callable[..., Any]
    kind: str
    scheme: tuple[str, str, str] | None
    parameters: list[ValueRecipe]
    leaf: bool
    body: str
    body_fields: list[ValueRecipe]
    specials: list[tuple[str, Any]]
    children: list[tuple[int, bool]]
    keywords: tuple[str, ...]
    positional: tuple[CodeType, list[int]] | None
    cache: int
    use_cache: bool
    function_scope: bool
    dependant: Dependant


@dataclass(frozen=True, slots=True)
class AnswerRecipe:
    """The response half, as `_core.Plan` takes it."""

    render: str
    validate: Callable[..., Any] | None = None
    to_json: Callable[..., Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    shape: "_core.Shape | None" = None
    status: int | None = None
    media_type: bytes = b"application/json"


class PlanRecipe(NamedTuple):
    """A whole path operation, as `_core.Plan` takes it."""

    nodes: list[NodeRecipe]
    steps: list[tuple[int, int | None]]
    body: str
    strict_content_type: bool
    answer: AnswerRecipe
    parts: int
    overrides_provider: Any
    operation: "PathOperation | WebSocketOperation"


class _Planned(ABC):
    """What a plan is made of, once, when it is asked for."""

    @cached_property
    def compiled(self) -> "tuple[_core.Plan | None, str]":
        """The plan, or None with the reason why there is none."""
        try:
            return _core.Plan(self._recipe()), ""
        except Unplannable as reason:
            return None, str(reason)

    @abstractmethod
    def _recipe(self) -> PlanRecipe:
        """Describe the plan.

        Raises:
            Unplannable: no plan can run it.
        """


@dataclass(eq=False)
class PathOperation(_Planned):
    """What `get_request_handler` was given, and the plan made of it."""

    dependant: Dependant
    body: BodyRecipe
    response: ResponseRecipe
    embed_body_fields: bool
    is_json_stream: bool
    dependency_overrides_provider: Any

    @cached_property
    def serialize_item(self) -> ItemSerializer:
        """The function that writes an item of a stream, made at the first request: declaring builds no validator."""
        return item_serializer(self.response)

    @cached_property
    def serialize_event(self) -> ItemSerializer:
        """The function that writes a server-sent event."""
        return event_serializer(self.serialize_item)

    def mark(self, handler: Any) -> None:
        """Make this operation known by its handler, so that a wrapped handler is told apart from the handler itself."""
        self.handler = handler
        handler.operation = self

    def current_plan(self) -> "_core.Plan | None":
        """Return the plan if it still says what is to be done: no override, and the endpoint that was compiled."""
        # A form that Python has read is taken apart by Python.
        plan = None if self.body.is_form else self.compiled[0]
        return plan if plan is not None and plan.is_current() else None

    @cached_property
    def shows_exit_stacks(self) -> bool:
        """Whether user code receives a request in whose scope it could reach the exit stacks of generators."""
        nodes = list(_below(self.dependant))
        has_generators = any(_kind(each) in ("generator", "async_generator") for each in nodes)
        return has_generators and any(_receives_request(each) for each in (self.dependant, *nodes))

    def _recipe(self) -> PlanRecipe:
        call = self.dependant.call
        if self.is_json_stream or _is_gen_callable(call) or _is_async_gen_callable(call):
            raise Unplannable("the endpoint is a generator")
        if self.body.is_form and self.body.form_limits:
            raise Unplannable("the form is limited")
        graph = _Graph(self.embed_body_fields, self.body.is_form)
        graph.visit(self.dependant)
        answer = _answer(self.response)
        return PlanRecipe(
            nodes=graph.nodes,
            steps=graph.steps,
            body="form" if self.body.is_form else "json" if self.body.field else "unread",
            strict_content_type=self.body.strict_content_type,
            answer=answer,
            parts=Part.OPERATION | _answer_part(answer) | _parts_of(graph.nodes, self.body),
            overrides_provider=self.dependency_overrides_provider,
            operation=self,
        )


@dataclass(eq=False)
class WebSocketOperation(_Planned):
    """What a websocket route was made of, and the plan made of it: it ends with the call of the endpoint."""

    dependant: Dependant
    dependency_overrides_provider: Any

    def _recipe(self) -> PlanRecipe:
        if _kind(self.dependant) != "coroutine":
            raise Unplannable("the endpoint is no coroutine function")
        if any(each.body_params for each in (self.dependant, *_below(self.dependant))):
            raise Unplannable("a websocket has no body")
        graph = _Graph(embed_body_fields=False, is_form=False, is_websocket=True)
        graph.visit(self.dependant)
        return PlanRecipe(
            nodes=graph.nodes,
            steps=graph.steps,
            body="unread",
            strict_content_type=True,
            answer=AnswerRecipe("nothing"),
            parts=Part.SOCKET | _parts_of(graph.nodes),
            overrides_provider=self.dependency_overrides_provider,
            operation=self,
        )


def _below(dependant: Dependant) -> Iterator[Dependant]:
    for sub_dependant in dependant.dependencies:
        yield sub_dependant
        yield from _below(sub_dependant)


class _Graph:
    """The dependency graph, flattened in call order."""

    def __init__(self, embed_body_fields: bool, is_form: bool, is_websocket: bool = False) -> None:
        self.embed_body_fields = embed_body_fields
        self.is_form = is_form
        self.is_websocket = is_websocket
        self.nodes: list[NodeRecipe] = []
        self.steps: list[tuple[int, int | None]] = []
        self.slots: dict[Any, int] = {}

    def visit(self, dependant: Dependant) -> int:
        """Append a node behind those it depends on, and return its index."""
        if len(self.nodes) > _LARGEST_GRAPH:
            raise Unplannable("the dependency graph is too large")
        key = _get_cache_key(dependant=dependant)
        # A result that is cached by then makes the visit of the whole branch needless, unless the branch calls
        # something anew each time.
        reuse_at = None
        if dependant.use_cache and key in self.slots and all(each.use_cache for each in _below(dependant)):
            reuse_at = len(self.steps)
            self.steps.append((0, None))
        children = [(each.name, self.visit(each)) for each in dependant.dependencies]
        index = len(self.nodes)
        self.nodes.append(self._node(dependant, children, self.slots.setdefault(key, len(self.slots))))
        self.steps.append((index, None))
        if reuse_at is not None:
            self.steps[reuse_at] = (index, len(self.steps))
        return index

    def _body_shape(self, dependant: Dependant) -> str:
        if not dependant.body_params:
            return "none"
        if self.is_form:
            if not all(_is_form_value(request_field(each)) for each in dependant.body_params):
                raise Unplannable("the form has models, or files as bytes")
            return "form"
        return "whole" if _is_whole_body(dependant.body_params, self.embed_body_fields) else "embedded"

    def _node(self, dependant: Dependant, children: list[tuple[str | None, int]], cache: int) -> NodeRecipe:
        call = dependant.call
        if call is None:
            raise Unplannable("a dependency has no callable")
        if dependant.concurrency is not None:
            raise Unplannable("a dependency has a concurrency limit")
        if dependant.websocket_param_name is not None and not self.is_websocket:
            raise Unplannable("a parameter is a WebSocket")
        if dependant.request_param_name is not None and self.is_websocket:
            raise Unplannable("a parameter of a websocket is a Request")
        fields = [
            *dependant.path_params,
            *dependant.query_params,
            *dependant.header_params,
            *dependant.cookie_params,
        ]
        leaf = any(_needs_leaf(request_field(each)) for each in fields)
        shape = self._body_shape(dependant)
        specials = list(_specials(dependant))
        keywords = (
            *(name for name, _ in children if name is not None),
            *(each.name for each in fields),
            *(each.name for each in dependant.body_params),
            *(name for name, _, _ in specials),
        )
        if len(set(keywords)) != len(keywords):
            raise Unplannable("two parameters have the same name")
        return NodeRecipe(
            call=call,
            kind=_kind(dependant),
            scheme=_scheme(call),
            parameters=[] if leaf else [_parameter(each) for each in fields],
            leaf=leaf,
            body=shape,
            body_fields=[
                _value(each, "body", is_text=self.is_form, many=self.is_form and request_field(each).is_repeated)
                for each in dependant.body_params
            ],
            specials=[(word, made) for _, word, made in specials],
            children=[(index, name is not None) for name, index in children],
            keywords=keywords,
            positional=_positional(call, keywords),
            cache=cache,
            use_cache=dependant.use_cache,
            function_scope=dependant.scope == "function",
            dependant=dependant,
        )


def _is_form_value(facts: RequestField) -> bool:
    """Whether a body field is a text or a file of a form, or all those under its name."""
    is_bytes = facts.is_file_bytes or facts.is_file_bytes_sequence
    is_form = isinstance(facts.info, params.Form) and not is_bytes
    return is_form and not facts.form_models and facts.is_repeated == facts.is_sequence


def _kind(dependant: Dependant) -> str:
    call = dependant.call
    if _is_async_gen_callable(call):
        return "async_generator"
    if _is_gen_callable(call):
        return "generator"
    return "coroutine" if _is_coroutine_callable(call) else "plain"


def _positional(call: Any, keywords: tuple[str, ...]) -> tuple[CodeType, list[int]] | None:
    """Return a function's code and the place of each argument, if these are all and may be given by position."""
    if type(call) is not FunctionType or not keywords:
        return None
    code = call.__code__
    names = code.co_varnames[: code.co_argcount]
    by_keyword = code.co_posonlyargcount or code.co_kwonlyargcount or code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
    if by_keyword or sorted(names) != sorted(keywords):
        return None
    return code, [names.index(keyword) for keyword in keywords]


def _receives_request(dependant: Dependant) -> bool:
    name = dependant.request_param_name or dependant.http_connection_param_name
    return name is not None and _scheme(dependant.call) is None


def _scheme(call: Any) -> tuple[str, str, str] | None:
    """Return source, name and form of the credentials of a scheme that is FastAPI's own, None for any other."""
    kind = type(call)
    if kind not in _FORMS:
        return None
    if isinstance(call, APIKeyBase):
        return None if "check_api_key" in vars(call) else (call.model.in_.value, call.model.name, _FORMS[kind])
    return "header", "authorization", _FORMS[kind]


def _parts_of(nodes: list[NodeRecipe], body: BodyRecipe | None = None) -> Part:
    """Return the parts of the engine that a graph makes use of."""
    parts = Part(0)
    if body is not None and body.field:
        parts |= Part.FORM if body.is_form else Part.BODY
    for node in nodes:
        if node.scheme is not None:
            parts |= _SCHEME_PARTS.get(node.scheme[2], Part.AUTHORIZATION)
        elif node.kind in ("plain", "generator"):
            parts |= Part.THREAD
    return parts


def _answer_part(answer: AnswerRecipe) -> Part:
    return {"json": Part.JSON, "model": Part.MODEL, "text": Part.TEXT}.get(answer.render, Part(0))


def _needs_leaf(facts: RequestField) -> bool:
    """Whether only the Python leaf reads this parameter: models, and sequences where there is one text at most."""
    if facts.parameter_model is not None or not isinstance(facts.info, params.Param):
        return True
    return facts.is_sequence and (not facts.is_repeated or facts.location not in ("query", "header"))


def _specials(dependant: Dependant) -> Iterator[tuple[str, str, Any]]:
    """Yield name, word and maker of each argument that is not a value of the request, in FastAPI's order."""
    if dependant.http_connection_param_name:
        yield dependant.http_connection_param_name, "request", None
    if dependant.request_param_name:
        yield dependant.request_param_name, "request", None
    if dependant.websocket_param_name:
        # The connection that stands in the request's place is the websocket.
        yield dependant.websocket_param_name, "request", None
    if dependant.background_tasks_param_name:
        yield dependant.background_tasks_param_name, "background_tasks", None
    if dependant.response_param_name:
        yield dependant.response_param_name, "response", None
    if dependant.security_scopes_param_name:
        make = partial(_security_scopes, tuple(_get_oauth_scopes(dependant=dependant)))
        yield dependant.security_scopes_param_name, "security_scopes", make


def _security_scopes(scopes: tuple[str, ...]) -> SecurityScopes:
    return SecurityScopes(scopes=list(scopes))


def _parameter(model_field: ModelField) -> ValueRecipe:
    facts = request_field(model_field)
    return _value(model_field, facts.location, is_text=True, many=facts.is_repeated)


def _value(model_field: ModelField, source: str, *, is_text: bool, many: bool) -> ValueRecipe:
    if type(model_field) is not ModelField:
        raise Unplannable("a field is of a class of its own")
    facts = request_field(model_field)
    aliases = facts.aliases
    absent, default = _absent(model_field)
    return ValueRecipe(
        name=model_field.name,
        source=source,
        aliases=[each.validation if source == "body" else each.request for each in aliases],
        many=many,
        absent=absent,
        default=default,
        validate=model_field._validate_python,
        scalar=scalar_recipe(model_field) if is_text and not many else None,
        field=model_field,
    )


def _absent(model_field: ModelField) -> tuple[str, Any]:
    """Return what stands for a missing value, and the object or call that makes it."""
    info = model_field.field_info
    if info.is_required():
        return "missing", None
    if info.validate_default:
        return "made_then_validated", partial(_copy_default, model_field)
    if info.default_factory is None and isinstance(info.default, _IMMUTABLE):
        return "constant", info.default
    return "made", partial(_copy_default, model_field)


def _copy_default(model_field: ModelField) -> Any:
    return deepcopy(model_field.default)


def _answer(recipe: ResponseRecipe) -> AnswerRecipe:
    status = recipe.status_code
    if not (status is None or (isinstance(status, int) and 0 <= status < 1 << 16)):
        raise Unplannable("the status code is no HTTP status")
    if recipe.dumps_json and type(recipe.field) is ModelField and recipe.field._is_complete:
        adapter = recipe.field._type_adapter
        given = {name: value for name, value in recipe.serialization.items() if value not in (None, False)}
        return AnswerRecipe(
            "model",
            validate=adapter.validator.validate_python,
            to_json=adapter.serializer.to_json,
            options={**given, "by_alias": recipe.by_alias},
            shape=response_shape(recipe.field, recipe.serialization),
            status=status,
        )
    if recipe.field is None and recipe.response_class is JSONResponse:
        return AnswerRecipe("json", status=status)
    if recipe.field is None and recipe.response_class in _TEXT_RESPONSES and _renders_text(recipe.response_class):
        media_type = f"{recipe.response_class.media_type}; charset=utf-8".encode("latin-1")
        return AnswerRecipe("text", status=status, media_type=media_type)
    return AnswerRecipe("general", status=status)


def _renders_text(response_class: type[Response]) -> bool:
    """Tell whether a text response is what Starlette makes of it: UTF-8, and the two headers that say so."""
    media_type = response_class.media_type or ""
    return response_class.charset == "utf-8" and media_type.startswith("text/") and "charset=" not in media_type.lower()
