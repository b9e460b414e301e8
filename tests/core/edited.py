"""An application whose routes can be edited while it serves, and the edits, for `test_late_edits`.

Every callable takes any arguments and says with which it was called, so that an edit can put any parameter anywhere.
"""

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, TypeAdapter
from starlette.routing import compile_path

Log = list[str]


class Item(BaseModel):
    number: int = 1
    text: str = "t"


class Edited:
    """One application under one framework, with what the edits need to know of it."""

    def __init__(self, framework: str, via: str) -> None:
        self.m = importlib.import_module(framework)
        self.params = importlib.import_module(f"{framework}.params")
        self.log: Log = []
        self.app = self.m.FastAPI(openapi_url=None)
        router = self.m.APIRouter() if via == "included" else self.app.router
        self.scheme = importlib.import_module(f"{framework}.security").APIKeyHeader(name="x-key", auto_error=False)
        self._declare(router)
        if via == "included":
            self.app.include_router(router, prefix="/p", dependencies=[self.m.Depends(self.call("around"))])
        self.prefix = "/p" if via == "included" else ""

    def call(self, name: str, kind: str = "coroutine", /, **parameters: Any) -> Any:
        """A callable of a kind, with these parameters, each `(annotation, default)` or an annotation."""

        def note(values: dict[str, Any], when: str = "") -> dict[str, Any]:
            shown = {key: _shown(value) for key, value in sorted(values.items())}
            self.log.append(f"{name}{when} {shown}")
            return {name: shown}

        async def coroutine(**values: Any) -> Any:
            return note(values)

        def plain(**values: Any) -> Any:
            return note(values)

        def generator(**values: Any) -> Any:
            yield note(values)
            note({}, " ends")

        async def async_generator(**values: Any) -> Any:
            yield note(values)
            note({}, " ends")

        made: Any = {"coroutine": coroutine, "plain": plain, "generator": generator, "async": async_generator}[kind]
        made.__name__ = name
        made.__signature__ = inspect.Signature([_parameter(key, value) for key, value in parameters.items()])
        return made

    def guard(self, status_code: int) -> Any:
        """A dependency that refuses."""
        guard = self.call(f"guard {status_code}")
        error = self.m.HTTPException(status_code)

        async def refuse() -> Any:
            await guard()
            raise error

        return refuse

    def node(self, call: Any, **options: Any) -> Any:
        """A node of the dependency graph, as packages make it."""
        utils = importlib.import_module(f"{self.m.__name__}.dependencies.utils")
        return utils.get_dependant(path="/get/{key}", call=call, **options)

    def field(self, **parameter: Any) -> Any:
        """A field of the framework's own making."""
        made = self.node(self.call("of a field", **parameter))
        return [*made.path_params, *made.query_params, *made.header_params, *made.cookie_params, *made.body_params][0]

    def _declare(self, router: Any) -> None:
        depends, security = self.m.Depends, self.m.Security
        inner = self.call("inner", page=(int, 1))
        shared = self.call("shared", "plain", x_token=(Annotated[str, self.m.Header()], "none"), inner=depends(inner))
        slow = self.call("slow", "async", inner=depends(inner), track=(Annotated[str, self.m.Cookie()], ""))
        old = self.call("old", "generator", shared=depends(shared))
        scoped = self.call("scoped", key=depends(self.scheme), scopes=self._scopes)
        get = self.call(
            "get",
            key=int,
            limit=(int, 10),
            tags=(Annotated[list[str], self.m.Query()], []),
            shared=depends(shared),
            slow=depends(slow),
            old=depends(old),
            scoped=security(scoped, scopes=["read"]),
        )
        post = self.call("post", "plain", item=Item, shared=depends(shared))
        embedded = self.call("embedded", one=Item, two=(Item, Item()), flag=(bool, False))
        router.add_api_route("/get/{key}", get, methods=["GET"])
        router.add_api_route("/post", post, methods=["POST"], response_model=dict[str, Any])
        router.add_api_route("/embedded", embedded, methods=["POST"])
        router.add_api_route("/get/{key}", self.call("fallback", key=str), methods=["PUT"])

    @property
    def _scopes(self) -> Any:
        return importlib.import_module(f"{self.m.__name__}.security").SecurityScopes

    @property
    def states(self) -> list[Any]:
        """What stands for each operation in the table: a route, or the view on it."""
        routing = importlib.import_module(f"{self.m.__name__}.routing")
        pairs = routing._iter_routes_with_context(self.app.router.routes)
        return [route if context is None else context for route, context in pairs]

    def nodes(self, state: Any) -> list[Any]:
        """All nodes of an operation's graph, in order."""
        found, waiting = [], [state.dependant]
        while waiting:
            found.append(node := waiting.pop(0))
            waiting += node.dependencies
        return found


def _parameter(name: str, declared: Any) -> inspect.Parameter:
    annotation, default = declared if isinstance(declared, tuple) else (declared, inspect.Parameter.empty)
    if type(declared).__name__ in ("Depends", "Security"):
        annotation, default = Any, declared
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _shown(value: Any) -> Any:
    if type(value).__name__ == "SecurityScopes":
        return value.scopes
    if isinstance(value, BaseModel):
        return repr(value)
    return value if isinstance(value, dict | list | str | int | float | bool | type(None)) else type(value).__name__


# The edits. Each takes the application, an operation and a node of its graph; what it cannot do there it leaves.

Edit = Callable[[Edited, Any, Any], None]


def _fields(node: Any) -> list[Any]:
    return [*node.path_params, *node.query_params, *node.header_params, *node.cookie_params, *node.body_params]


def _last_field(node: Any) -> Any:
    found = _fields(node)
    return found[-1] if found else None


def insert_guard(edited: Edited, state: Any, node: Any) -> None:
    node.dependencies.insert(0, edited.node(edited.guard(401)))


def append_guard(edited: Edited, state: Any, node: Any) -> None:
    node.dependencies.append(edited.node(edited.guard(403)))


def replace_list(edited: Edited, state: Any, node: Any) -> None:
    node.dependencies = [*node.dependencies, edited.node(edited.call("listed", "plain"), name="listed")]


def replace_first(edited: Edited, state: Any, node: Any) -> None:
    if node.dependencies:
        node.dependencies[0] = edited.node(edited.call("first", size=(int, 3)), name=node.dependencies[0].name)


def reverse(edited: Edited, state: Any, node: Any) -> None:
    node.dependencies.reverse()


def drop(edited: Edited, state: Any, node: Any) -> None:
    del node.dependencies[-1:]


def replace_call(kind: str) -> Edit:
    def edit(edited: Edited, state: Any, node: Any) -> None:
        node.call = edited.call(f"replaced {kind}", kind)

    return edit


def no_call(edited: Edited, state: Any, node: Any) -> None:
    node.call = None


class Unhashable:
    """A callable that cannot be the key of a cache."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, call: Any) -> None:
        self.call = call

    async def __call__(self, **values: Any) -> Any:
        return await self.call(**values)


def unhashable_call(edited: Edited, state: Any, node: Any) -> None:
    node.call = Unhashable(edited.call("unhashable"))


def unhashable_call_again(edited: Edited, state: Any, node: Any) -> None:
    node.call = Unhashable(edited.call("unhashable"))
    node.use_cache = False


def same_name(edited: Edited, state: Any, node: Any) -> None:
    names = [*(each.name for each in node.dependencies if each.name), *(each.name for each in _fields(node))]
    node.header_params.append(
        edited.field(**{names[0] if names else "alone": (Annotated[str, edited.m.Header()], "x")})
    )
    node.response_param_name = names[-1] if names else "alone"


def rename(edited: Edited, state: Any, node: Any) -> None:
    if node is not state.dependant:
        node.name = "renamed"


def forget_cache(edited: Edited, state: Any, node: Any) -> None:
    node.use_cache = False


def function_scope(edited: Edited, state: Any, node: Any) -> None:
    node.scope = "function"


def ask_request(edited: Edited, state: Any, node: Any) -> None:
    node.request_param_name = "asked_request"
    node.response_param_name = "asked_response"
    node.background_tasks_param_name = "asked_tasks"


def ask_scopes(edited: Edited, state: Any, node: Any) -> None:
    node.security_scopes_param_name = "asked_scopes"


def append_scope(edited: Edited, state: Any, node: Any) -> None:
    if node.own_oauth_scopes is None:
        node.own_oauth_scopes = []
    node.own_oauth_scopes.append("late")


def rename_key(edited: Edited, state: Any, node: Any) -> None:
    edited.scheme.model.name = "x-other"


def allow_no_key(edited: Edited, state: Any, node: Any) -> None:
    edited.scheme.auto_error = True


def append_query(edited: Edited, state: Any, node: Any) -> None:
    node.query_params.append(edited.field(needed=int))


def replace_query(edited: Edited, state: Any, node: Any) -> None:
    if node.query_params:
        node.query_params[0] = edited.field(limit=(str, "other"))


def drop_query(edited: Edited, state: Any, node: Any) -> None:
    node.query_params.clear()


def move_fields(edited: Edited, state: Any, node: Any) -> None:
    node.path_params, node.query_params, node.header_params = node.query_params, node.header_params, node.path_params


def append_header(edited: Edited, state: Any, node: Any) -> None:
    node.header_params.append(edited.field(x_late=(Annotated[str, edited.m.Header()], "absent")))


def append_body(edited: Edited, state: Any, node: Any) -> None:
    node.body_params.append(edited.field(late=Item))


def rename_field(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field.name = "renamed_field"


def other_default(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field.field_info.default = 77


def default_factory(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field.field_info.default = edited.m.params.Undefined
        field.field_info.default_factory = lambda: "made"


def validated_default(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field.field_info.default = "5"
        field.field_info.validate_default = True


def other_alias(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field.field_info.alias = field.field_info.validation_alias = "number"


def alias_choices(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field.field_info.validation_alias = AliasChoices("missing", "number")


def append_choice(edited: Edited, state: Any, node: Any) -> None:
    for field in _fields(node):
        if isinstance(field.field_info.validation_alias, AliasChoices):
            field.field_info.validation_alias.choices.insert(0, "limit")


def list_annotation(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field.field_info.annotation = list[str]


def other_adapter(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field._type_adapter = TypeAdapter(Any)


def other_validate(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field.validate = lambda *arguments, **options: ("validated", [])


def other_class(edited: Edited, state: Any, node: Any) -> None:
    if (field := _last_field(node)) is not None:
        field.__class__ = type("Own", (type(field),), {"validate": lambda *arguments, **options: ("own", [])})


def other_info(edited: Edited, state: Any, node: Any) -> None:
    for field in node.query_params:
        field.field_info = edited.m.Query(default="from another")


def embed(edited: Edited, state: Any, node: Any) -> None:
    for field in node.body_params:
        field.field_info.embed = True


# What FastAPI reads of a route while matching, or never again.


def other_methods(edited: Edited, state: Any, node: Any) -> None:
    state.methods = {"PATCH", "PUT"}


def add_method(edited: Edited, state: Any, node: Any) -> None:
    # Another edit may have made it a list.
    if isinstance(state.methods, set):
        state.methods.add("PUT")


def drop_methods(edited: Edited, state: Any, node: Any) -> None:
    if isinstance(state.methods, set):
        state.methods.difference_update({"GET", "POST"})


def list_methods(edited: Edited, state: Any, node: Any) -> None:
    state.methods = ["PUT"]


def other_path(edited: Edited, state: Any, node: Any) -> None:
    state.path_regex, state.path_format, state.param_convertors = compile_path(edited.prefix + "/moved/{key}")


def other_name_of_path(edited: Edited, state: Any, node: Any) -> None:
    state.path = "/not-matched"


def other_endpoint(edited: Edited, state: Any, node: Any) -> None:
    state.endpoint = edited.call("not called")


def other_app(edited: Edited, state: Any, node: Any) -> None:
    before = state.app

    async def app(scope: Any, receive: Any, send: Any) -> None:
        edited.log.append(f"around {scope['path']} {scope['endpoint'].__name__}")
        await before(scope, receive, send)

    state.app = app


def what_is_read_once(edited: Edited, state: Any, node: Any) -> None:
    state.dependant = edited.node(edited.guard(418))
    state.status_code = 299
    state.response_class = None
    state.response_field = None
    state.response_model_exclude = {"post"}
    state.dependency_overrides_provider = None
    state._embed_body_fields = True
    state.body_field = None
    state.dependencies = []
    state.max_body_size = 1
    state.name = "another name"
    state.anything = "else"


def other_response_adapter(edited: Edited, state: Any, node: Any) -> None:
    if state.response_field is not None:
        state.response_field._type_adapter = TypeAdapter(list[int])


def other_response_validate(edited: Edited, state: Any, node: Any) -> None:
    if state.response_field is not None:
        state.response_field.validate = lambda *arguments, **options: ({"validated": 1}, [])


def other_response_class(edited: Edited, state: Any, node: Any) -> None:
    if (field := state.response_field) is not None:
        field.__class__ = type("Own", (type(field),), {"serialize_json": lambda *arguments, **options: b"[1]"})


def another_route_first(edited: Edited, state: Any, node: Any) -> None:
    route = edited.m.routing.APIRoute(edited.prefix + "/get/{key}", edited.call("before", key=str))
    edited.app.router.routes.insert(0, route)


def no_route(edited: Edited, state: Any, node: Any) -> None:
    del edited.app.router.routes[-1]


EDITS: tuple[Edit, ...] = (
    insert_guard,
    append_guard,
    replace_list,
    replace_first,
    reverse,
    drop,
    replace_call("coroutine"),
    replace_call("plain"),
    replace_call("generator"),
    replace_call("async"),
    no_call,
    unhashable_call,
    unhashable_call_again,
    same_name,
    rename,
    forget_cache,
    function_scope,
    ask_request,
    ask_scopes,
    append_scope,
    rename_key,
    allow_no_key,
    append_query,
    replace_query,
    drop_query,
    move_fields,
    append_header,
    append_body,
    rename_field,
    other_default,
    default_factory,
    validated_default,
    other_alias,
    alias_choices,
    append_choice,
    list_annotation,
    other_adapter,
    other_validate,
    other_class,
    other_info,
    embed,
    other_methods,
    add_method,
    drop_methods,
    list_methods,
    other_path,
    other_name_of_path,
    other_endpoint,
    other_app,
    what_is_read_once,
    other_response_adapter,
    other_response_validate,
    other_response_class,
    another_route_first,
    no_route,
)


def edit(edited: Edited, edits: Sequence[tuple[Edit, int, int]]) -> None:
    """Do edits, each on an operation and a node of its graph that are given by number."""
    for each, operation, place in edits:
        states = edited.states
        if states:
            state = states[operation % len(states)]
            nodes = edited.nodes(state)
            each(edited, state, nodes[place % len(nodes)])
