"""A dependency graph becomes the nodes and the steps of a plan, in call order."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import FunctionType
from typing import Any, NamedTuple

from pydantic import PydanticUserError

from ferroapi import _core, params
from ferroapi._compat import ModelField
from ferroapi._core import (
    Absent,
    BodyKind,
    CallKind,
    Child,
    Credentials,
    Lifetime,
    Lookup,
    Node,
    Parameter,
    Positional,
    Source,
    Special,
    Step,
)
from ferroapi._engine import stand_ins
from ferroapi._engine.body import BodyRecipe
from ferroapi._engine.branch import is_same_branch
from ferroapi._engine.known_values import is_generator_function, is_immutable
from ferroapi._engine.reference.solve import analyzed_override
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
    _request_params,
)
from ferroapi.security import http
from ferroapi.security.api_key import APIKeyBase, APIKeyCookie, APIKeyHeader, APIKeyQuery
from ferroapi.security.oauth2 import OAuth2, OAuth2AuthorizationCodeBearer, OAuth2PasswordBearer, SecurityScopes
from ferroapi.security.open_id_connect_url import OpenIdConnect

_FORMS: dict[Any, Credentials] = {
    APIKeyHeader: Credentials.KEY,
    APIKeyQuery: Credentials.KEY,
    APIKeyCookie: Credentials.KEY,
    OAuth2: Credentials.KEY,
    OpenIdConnect: Credentials.KEY,
    OAuth2PasswordBearer: Credentials.TOKEN,
    OAuth2AuthorizationCodeBearer: Credentials.TOKEN,
    http.HTTPBase: Credentials.ANY,
    http.HTTPBearer: Credentials.BEARER,
    http.HTTPDigest: Credentials.DIGEST,
    http.HTTPBasic: Credentials.BASIC,
}
"""The schemes whose credentials are read without a call, with the form of these."""

_SCHEME_PARTS = {Credentials.KEY: Part.KEY, Credentials.TOKEN: Part.OAUTH2}
"""The part that reads credentials of a form; those of the others are taken apart."""

_SOURCES = {"path": Source.PATH, "query": Source.QUERY, "header": Source.HEADER, "cookie": Source.COOKIE}
_BY_PYTHON = {
    CallKind.COROUTINE: CallKind.BY_PYTHON,
    CallKind.PLAIN: CallKind.BY_PYTHON,
    CallKind.GENERATOR: CallKind.GENERATOR_BY_PYTHON,
    CallKind.ASYNC_GENERATOR: CallKind.GENERATOR_BY_PYTHON,
}
_IN_THREAD = frozenset({CallKind.PLAIN, CallKind.GENERATOR, CallKind.WRAPPED_GENERATOR})

_MOST_NESTED = 10
"""How often an override may stand below itself: a mapping that answers otherwise in between may end that."""

_FIELD_METHODS = frozenset({"get_default", "serialize", "serialize_json", "validate"})


class _Visit(NamedTuple):
    """A node that was appended, and whether nobody can tell that it is left out, where its result is cached."""

    node: int
    is_needless: bool


@dataclass(eq=False)
class Graph:
    """The dependency graph, flattened in call order. Its endpoint is called as `kind` says."""

    calls: list[Callable[..., Any]]
    embed_body_fields: bool
    is_form: bool
    kind: CallKind
    is_websocket: bool
    endpoint: Dependant | None = None
    nodes: list[Node] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)
    slots: dict[Any, int] = field(default_factory=dict)
    first_nodes: dict[int, int] = field(default_factory=dict)
    has_been_in_thread: bool = False
    varied: set[int] = field(default_factory=set)
    overridden: list[tuple[Any, Any]] = field(default_factory=list)

    def visit_endpoint(self, dependant: Dependant) -> None:
        """Append the whole graph."""
        self.endpoint = dependant
        # Its result is not cached, so that it need not be hashable.
        self._visit(dependant, dependant, object())

    def _visit(self, declared: Dependant, effective: Dependant, key: Any) -> _Visit:
        """Append a node behind those it depends on. `key` is what its result is cached under."""
        # A result that is cached by then makes the visit of the whole branch needless, unless the branch calls
        # something anew each time, be it only a validator.
        reuse_at = None
        is_known = key in self.slots
        if declared.use_cache and is_known:
            reuse_at = len(self.steps)
            self.steps.append(Step.reuse(self.first_nodes[self.slots[key]], reuse_at + 1))
        children: list[tuple[str | None, int]] = []
        is_needless = True
        for child in effective.dependencies:
            visit = self._visit_dependency(child)
            children.append((child.name, visit.node))
            is_needless = is_needless and child.use_cache and visit.is_needless
        index = self._append(declared, effective, children, key)
        is_repeated = is_known and self._is_as_before(self.slots[key], effective)
        is_needless = is_needless and reuse_at is not None and is_repeated and _is_silent(effective)
        if reuse_at is not None and is_needless:
            self.steps[reuse_at] = Step.reuse(index, len(self.steps))
        return _Visit(index, is_needless)

    def _append(
        self, declared: Dependant, effective: Dependant, children: list[tuple[str | None, int]], key: Any
    ) -> int:
        index = len(self.nodes)
        slot = self.slots.setdefault(key, len(self.slots))
        self.first_nodes.setdefault(slot, index)
        node = self._node(declared, effective, children, slot)
        self.has_been_in_thread |= node.kind in _IN_THREAD
        self.nodes.append(node)
        self.keys.append(key)
        self.steps.append(Step.call(index))
        return index

    def _is_as_before(self, slot: int, dependant: Dependant) -> bool:
        """Tell whether all branches with a result in this slot are the same, up to this one."""
        first = self.nodes[self.first_nodes[slot]].dependant
        if slot not in self.varied and not is_same_branch(first, dependant):
            self.varied.add(slot)
        return slot not in self.varied

    def _visit_dependency(self, declared: Dependant) -> _Visit:
        number = len(self.lookups)
        call: Any = self.calls[number] if number < len(self.calls) else declared.call
        self.lookups.append(Lookup(declared=declared.call, expected=call))
        self.steps.append(Step.look_up(number))
        if call is declared.call:
            return self._visit_effective(declared, declared)
        if self.overridden.count((declared.call, call)) == _MOST_NESTED:
            # FastAPI goes round until Python ends it, for each request. A plan a round would take minutes.
            raise RecursionError(
                f"maximum recursion depth exceeded: the override {call!r} depends on what it overrides"
            )
        self.overridden.append((declared.call, call))
        visit = self._visit_effective(declared, analyzed_override(declared, call))
        self.overridden.pop()
        return visit

    def _visit_effective(self, declared: Dependant, effective: Dependant) -> _Visit:
        key = _get_cache_key(dependant=declared)
        try:
            hash(key)
        except TypeError:
            # FastAPI fails when it looks for a kept result, or when it is to keep one.
            fail = partial(_look_for, key)
            if declared.use_cache:
                return self._visit(declared, replace(effective, call=fail), object())
            visit = self._visit(declared, effective, object())
            return _Visit(self._append(declared, Dependant(call=fail), [(None, visit.node)], object()), False)
        return self._visit(declared, effective, key)

    def _body_kind(self, dependant: Dependant) -> BodyKind:
        if not dependant.body_params:
            return BodyKind.NOTHING
        if not all(map(is_plain_field, dependant.body_params)):
            return BodyKind.LEAF
        is_whole = _is_whole_body(dependant.body_params, self.embed_body_fields)
        if self.is_form:
            is_read = not is_whole and all(_is_form_value(request_field(each)) for each in dependant.body_params)
            return BodyKind.FORM if is_read else BodyKind.LEAF
        return BodyKind.WHOLE if is_whole else BodyKind.EMBEDDED

    def _node(
        self, declared: Dependant, dependant: Dependant, children: list[tuple[str | None, int]], cache: int
    ) -> Node:
        # None is called, too: that is the error.
        call: Any = dependant.call
        fields = _request_params(dependant)
        leaf = any(_needs_leaf(each) for each in fields) or _has_moved_field(dependant)
        body = self._body_kind(dependant)
        specials = list(_specials(dependant, is_websocket=self.is_websocket))
        keywords = (
            *(name for name, _ in children if name is not None),
            *(each.name for each in fields),
            *(each.name for each in dependant.body_params),
            *(name for name, _ in specials),
        )
        kind = self.kind if dependant is self.endpoint else kind_of(dependant)
        if call is None or len(set(keywords)) != len(keywords):
            # Of two values of one name the call gets the last.
            kind = _BY_PYTHON.get(kind, kind)
        elif kind == CallKind.GENERATOR and not is_generator_function(call):
            kind = CallKind.WRAPPED_GENERATOR
        return Node(
            call=call,
            kind=kind,
            # A value of the lifespan is found on the event loop.
            is_silent=kind != CallKind.LIFESPAN
            and self.has_been_in_thread
            and body != BodyKind.LEAF
            and _is_silent(dependant),
            scheme=_scheme(dependant),
            parameters=[] if leaf else [_parameter(each) for each in fields],
            leaf=leaf,
            body=body,
            body_fields=[
                _value(each, Source.BODY, is_text=self.is_form, many=self.is_form and request_field(each).is_repeated)
                for each in dependant.body_params
                if body != BodyKind.LEAF
            ],
            specials=[special for _, special in specials],
            children=[Child(node=index, is_argument=name is not None) for name, index in children],
            keywords=keywords,
            positional=_positional(call, keywords),
            cache=cache,
            use_cache=bool(declared.use_cache),
            lifetime=Lifetime.FUNCTION if dependant.scope == "function" else Lifetime.REQUEST,
            dependant=dependant,
        )


def _is_form_value(facts: RequestField) -> bool:
    """Whether a body field is a text or a file of a form, or all those under its name."""
    is_bytes = facts.is_file and (facts.is_bytes or facts.is_bytes_sequence)
    is_form = isinstance(facts.info, params.Form) and not is_bytes
    return is_form and not facts.form_models and facts.is_repeated == facts.is_sequence


def _is_silent(dependant: Dependant) -> bool:
    """Whether nothing of the application's runs while the arguments that come from the request are made."""
    fields = (*_request_params(dependant), *dependant.body_params)
    return all(is_plain_field(each) and stand_ins.is_validated_silently(each) for each in fields)


def kind_of(dependant: Dependant) -> CallKind:
    call = dependant.call
    if dependant.scope == "lifespan" and hasattr(call, "find"):
        return CallKind.LIFESPAN
    is_async_generator, is_generator = _is_async_gen_callable(call), _is_gen_callable(call)
    if dependant.concurrency is not None:
        return CallKind.GENERATOR_BY_PYTHON if is_generator or is_async_generator else CallKind.BY_PYTHON
    if is_async_generator:
        return CallKind.ASYNC_GENERATOR
    if is_generator:
        return CallKind.GENERATOR
    return CallKind.COROUTINE if _is_coroutine_callable(call) else CallKind.PLAIN


def _positional(call: Any, keywords: tuple[str, ...]) -> Positional | None:
    """Return how a function takes these arguments by position, if they are all and may be given so."""
    if type(call) is not FunctionType or not keywords:
        return None
    code = call.__code__
    names = code.co_varnames[: code.co_argcount]
    by_keyword = code.co_posonlyargcount or code.co_kwonlyargcount or code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
    if by_keyword or sorted(names) != sorted(keywords):
        return None
    return Positional(code=code, places=[names.index(keyword) for keyword in keywords])


def _scheme(dependant: Dependant) -> _core.Scheme | None:
    """Return where the credentials of a scheme are that is FastAPI's own, None for any other."""
    call: Any = dependant.call
    form = _FORMS.get(type(call))
    if form is None:
        return None
    if _request_params(dependant) or dependant.body_params or dependant.dependencies:
        # It was declared while another function stood in its place.
        return None
    if not isinstance(call, APIKeyBase):
        return _core.Scheme(source=Source.HEADER, alias="authorization", form=form)
    if "check_api_key" in vars(call):
        return None
    return _core.Scheme(source=_SOURCES[call.model.in_.value], alias=call.model.name, form=form)


def parts_of(nodes: list[Node], body: BodyRecipe | None = None) -> int:
    """Return the parts of the engine that a graph makes use of."""
    parts = 0
    if body is not None and body.field:
        parts |= Part.FORM if body.is_form else Part.BODY
    for node in nodes:
        if node.scheme is not None:
            parts |= _SCHEME_PARTS.get(node.scheme.form, Part.AUTHORIZATION)
        elif node.kind in _IN_THREAD:
            parts |= Part.THREAD
    return parts


def _needs_leaf(model_field: ModelField) -> bool:
    """Whether only the Python leaf reads this parameter: models, and sequences where there is one text at most."""
    facts = request_field(model_field)
    if facts.parameter_model is not None or not isinstance(facts.info, params.Param) or not is_plain_field(model_field):
        return True
    return facts.is_sequence and (not facts.is_repeated or facts.location not in ("query", "header"))


def _has_moved_field(dependant: Dependant) -> bool:
    """Whether a parameter is in the list of another place: its value comes from there, and errors name its own."""
    return any(
        request_field(each).location != location
        for location in ("path", "query", "header", "cookie")
        for each in getattr(dependant, f"{location}_params")
    )


def is_plain_field(model_field: ModelField) -> bool:
    """Whether a field is validated by its validator alone: no class or method is its own, and its type is defined."""
    if type(model_field) is not ModelField or not _FIELD_METHODS.isdisjoint(vars(model_field)):
        return False
    try:
        return callable(model_field._type_adapter.validator.validate_python)
    except PydanticUserError:
        return False


def _specials(dependant: Dependant, *, is_websocket: bool) -> Iterator[tuple[str, Special]]:
    """Yield name and kind of each argument that is not a value of the request, in FastAPI's order.

    A `Request` of a websocket and a `WebSocket` of a request are no arguments: the call says that they are missing.
    """
    if dependant.http_connection_param_name:
        yield dependant.http_connection_param_name, Special.request()
    if dependant.request_param_name and not is_websocket:
        yield dependant.request_param_name, Special.request()
    if dependant.websocket_param_name and is_websocket:
        # The connection that stands in the request's place is the websocket.
        yield dependant.websocket_param_name, Special.request()
    if dependant.background_tasks_param_name:
        yield dependant.background_tasks_param_name, Special.background_tasks()
    if dependant.response_param_name:
        yield dependant.response_param_name, Special.response()
    if dependant.security_scopes_param_name:
        make = partial(_security_scopes, tuple(_get_oauth_scopes(dependant=dependant)))
        yield dependant.security_scopes_param_name, Special.security_scopes(make)


async def _look_for(key: Any, /, **_values: Any) -> None:
    # From Python 3.14 on, a dict says more of it than `hash`.
    _ = key in {}  # noqa: RUF060 - for what it raises


def _security_scopes(scopes: tuple[str, ...]) -> SecurityScopes:
    return SecurityScopes(scopes=list(scopes))


def _parameter(model_field: ModelField) -> Parameter:
    facts = request_field(model_field)
    return _value(model_field, _SOURCES[facts.location], is_text=True, many=facts.is_repeated)


def _value(model_field: ModelField, source: Source, *, is_text: bool, many: bool) -> Parameter:
    facts = request_field(model_field)
    aliases = facts.aliases
    return Parameter(
        source=source,
        aliases=[each.validation if source == Source.BODY else each.request for each in aliases],
        many=many,
        absent=_absent(model_field),
        validate=model_field._type_adapter.validator.validate_python,
        scalar=stand_ins.scalar_of(model_field) if is_text and not many else None,
    )


def _absent(model_field: ModelField) -> Absent:
    """Return what stands for a missing value."""
    info = model_field.field_info
    if info.is_required():
        return Absent.missing()
    if info.validate_default:
        return Absent.made_then_validated(partial(_copy_default, model_field))
    if info.default_factory is None and is_immutable(info.default):
        return Absent.constant(info.default)
    return Absent.made(partial(_copy_default, model_field))


def _copy_default(model_field: ModelField) -> Any:
    return deepcopy(model_field.default)
