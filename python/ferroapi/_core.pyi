"""The engine of ferroapi, in Rust: route table, plans, and the driver that runs them. Made by `rust/core`."""

from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import Context
from types import CodeType
from typing import Any, Final, Self, final

from typing_extensions import disjoint_base

def encode_json(value: Any) -> bytes:
    """Return the JSON bytes of any object as FastAPI's default response has them.

    Raises:
        ValueError, TypeError, UnicodeEncodeError: what `JSONResponse(jsonable_encoder(value))` raises.
        RecursionError: the value is nested too deeply, or contains itself.
    """

def plain_copy(value: Any) -> Any:
    """Return what `jsonable_encoder(value)` returns, if it is data of exactly Python's own types; else None."""

def encode_json_within(value: Any, limit: int) -> bytes | None:
    """Return what `encode_json` returns, None if that is longer than `limit` bytes: little more is written than that.

    Raises:
        Exception: as `encode_json`, but for the first reason that it meets.
    """

def is_json_content_type(content_type: bytes, /) -> bool:
    """Tell whether a Content-Type value names `application/json` or an `application/*+json` type.

    Source: RFC 6838 section 4.2.8 for the suffix; parameters are ignored.
    """

def form_media_type(content_type: bytes, /) -> bytes:
    """Return a shorter Content-Type that means the same to the parsers of forms, or the same if it is not plain.

    It is empty for a body that is no form.
    """

def parse_cookies(header: bytes, /) -> dict[str, str]:
    """Return the cookies of a `Cookie` header, in linear time.

    Source: Starlette, `requests.cookie_parser`.
    """

def group_query(query_string: bytes, /) -> dict[str, str | list[str]]:
    """Return the value of each name in a query string, a list where there are several, in the order of the names.

    Source: Starlette's `QueryParams`.
    """

def group_headers(headers: list[Any], /) -> dict[str, str | list[str]] | None:
    """Return the same of the headers of a scope, None if one of them is not a pair of bytes.

    Source: Starlette's `Headers`.
    """

def check_start(message: dict[str, Any]) -> None:
    """Refuse an `http.response.start` message with no HTTP status or with a control byte in a header.

    Raises:
        RuntimeError: it must not reach a server.
    """

def drive(plan: Plan, scope: Any, receive: Any, send: Any) -> Awaitable | None:
    """Return what answers a scope that knows its route by the plan of that, None where Python must."""

def respond(plan: Plan, request: Any, body: Any, is_observed: bool = False) -> Awaitable:
    """Run a plan for a `Request` whose body was read (`PydanticUndefined` for none); awaiting it gives the response.

    `is_observed` says that somebody records it, whatever its scope says.
    """

def take_turns() -> None:
    """Let every message that the running task's call sends from now on take its turns of the event loop.

    A middleware function further out goes on in them, and whatever stands between them. Elsewhere it does nothing.
    """

def solve(plan: Plan, request: Any, body: Any, observer: Any) -> Awaitable:
    """Solve the dependencies of a plan that ends with the arguments of the endpoint, for a request as in `respond`.

    `observer.solved(values, errors)` is called with the arguments and the errors. Awaiting it gives what else there is:
    the response that dependencies write to, the background tasks, and the results of the dependencies.
    """

def is_replaced(parts: int) -> bool:
    """Tell whether a name was replaced that any of these parts of the engine stands for (`ferroapi._witness.Part`)."""

@final
class Row:
    """One name of a module, a class or an instance, and what must be found under it."""

    def __new__(
        cls,
        *,
        owner: Any,
        name: str,
        parts: int,
        original: Any,
        may_lack: bool,
        is_defined: Callable[[Any], bool] | None,
        label: str,
    ) -> Self:
        """Make a row of what `parts` of the engine stand for.

        Without an `original` only `is_defined` can tell what must be found; `may_lack` says that nothing may be.
        `label` is what `explain` calls it.
        """

@final
class Witness:
    """Names of modules, classes and instances, and what must be found under them."""

    def __new__(cls, rows: Sequence[Row]) -> Self:
        """Watch the names of these rows."""

    @property
    def replaced(self) -> int:
        """The parts of the engine that stand for a name which was replaced, as bits."""

    @staticmethod
    def install(rows: Sequence[Row], passed: int, follow: Callable[[], None]) -> Witness:
        """Make these the table of `is_replaced`, and say which parts every request is run by; the first one stays.

        `follow` is called whenever something that they watch was modified, before that is looked at.
        """

    def names(self, parts: int) -> list[Any]:
        """Return the labels of the replaced names that some of these parts stand for."""

class _Enum:
    """What all enumerations of the engine can do."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __int__(self) -> int: ...

@final
class Source(_Enum):
    """Where a value is read from."""

    PATH: Final[Source]
    QUERY: Final[Source]
    HEADER: Final[Source]
    COOKIE: Final[Source]
    BODY: Final[Source]

@final
class CallKind(_Enum):
    """How a dependency or an endpoint is called."""

    COROUTINE: Final[CallKind]
    """On the event loop, where what it returns is awaited."""
    STREAM: Final[CallKind]
    """By Python, with its values, when the answer is made: an endpoint that is a stream."""
    PLAIN: Final[CallKind]
    """In a worker thread."""
    GENERATOR: Final[CallKind]
    """To its `yield` in a worker thread, and to its end after the endpoint or the response."""
    WRAPPED_GENERATOR: Final[CallKind]
    """The same, of a function around one, which itself is called on the event loop."""
    ASYNC_GENERATOR: Final[CallKind]
    """The same, on the event loop."""
    LIFESPAN: Final[CallKind]
    """Its method `find`, given the scope, has the value of the application; else as an async generator function."""
    BY_PYTHON: Final[CallKind]
    """By Python: only so many calls may be under way, or two of its arguments have one name."""
    GENERATOR_BY_PYTHON: Final[CallKind]
    """The same, of a generator function."""

@final
class Lifetime(_Enum):
    """When a generator is closed that was entered."""

    FUNCTION: Final[Lifetime]
    """Before the response is sent."""
    REQUEST: Final[Lifetime]
    """After it."""
    CONNECTION: Final[Lifetime]
    """After the exception handlers of the route."""

@final
class Credentials(_Enum):
    """The form of a security scheme's credentials."""

    KEY: Final[Credentials]
    """Any text that is not empty is the key."""
    TOKEN: Final[Credentials]
    """`Bearer` and a token, which is the value."""
    ANY: Final[Credentials]
    """A scheme and what follows it."""
    BEARER: Final[Credentials]
    """The same, of the scheme `Bearer`."""
    DIGEST: Final[Credentials]
    """The same, of the scheme `Digest`."""
    BASIC: Final[Credentials]
    """`Basic`, with a user and a password in base64."""

@final
class BodyKind(_Enum):
    """What a node takes from the body."""

    NOTHING: Final[BodyKind]
    WHOLE: Final[BodyKind]
    """Its one field is the whole body."""
    EMBEDDED: Final[BodyKind]
    """Its fields are keys of a JSON object."""
    FORM: Final[BodyKind]
    """Its fields are those of a form."""
    LEAF: Final[BodyKind]
    """Whatever the Python leaf makes of it."""

@final
class Reading(_Enum):
    """How the request's body is read."""

    UNREAD: Final[Reading]
    """Not at all."""
    JSON: Final[Reading]
    """As JSON where its content type says so."""
    LENIENT_JSON: Final[Reading]
    """As JSON where its content type says so, or is missing."""
    FORM: Final[Reading]
    """As a form within Starlette's own limits."""
    LIMITED_FORM: Final[Reading]
    """As a form within limits of the route's own."""

@final
class Scalar:
    """What pydantic makes of most texts, where that is known without asking it."""

    @staticmethod
    def text() -> Scalar:
        """Return the text itself, whatever it is."""

    @staticmethod
    def truth() -> Scalar:
        """Return the truth value that it stands for."""

    @staticmethod
    def integer(least: int, most: int) -> Scalar:
        """Return the integer that it stands for, from `least` to `most` (64 bits)."""

    @staticmethod
    def number(least: float, most: float) -> Scalar:
        """Return the number that it stands for, likewise."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Absent:
    """What stands for a value that the request does not carry."""

    @staticmethod
    def missing() -> Absent:
        """Return an error: the value is required."""

    @staticmethod
    def constant(value: Any) -> Absent:
        """Return this immutable object, as it is."""

    @staticmethod
    def made(make: Callable[[], Any]) -> Absent:
        """Return the result of this call, made anew for each request."""

    @staticmethod
    def made_then_validated(make: Callable[[], Any]) -> Absent:
        """Return the result of this call, which is then validated like a received value."""

@final
class Parameter:
    """One parameter or body field."""

    def __new__(
        cls,
        *,
        source: Source,
        aliases: Sequence[str],
        many: bool,
        absent: Absent,
        validate: Callable[..., Any],
        scalar: Scalar | None,
    ) -> Self:
        """Make a parameter with its aliases, the preferred one first."""

@final
class Scheme:
    """A security scheme whose credentials are read without calling it."""

    def __new__(cls, *, source: Source, alias: str, form: Credentials) -> Self:
        """Make a scheme with the name of what carries its credentials."""

    @property
    def form(self) -> Credentials:
        """The form of its credentials."""

@final
class Special:
    """An argument that is not a value of the request."""

    @staticmethod
    def request() -> Special:
        """Return the `Request`, or the `WebSocket`."""

    @staticmethod
    def background_tasks() -> Special:
        """Return the shared `BackgroundTasks`."""

    @staticmethod
    def response() -> Special:
        """Return the shared `Response` for headers, cookies and status."""

    @staticmethod
    def security_scopes(make: Callable[[], Any]) -> Special:
        """Return the result of this call."""

@final
class Step:
    """One step of the graph, in call order."""

    @staticmethod
    def reuse(node: int, next: int) -> Step:
        """Take the cached result of a node, if there is one, and go on at the step `next`."""

    @staticmethod
    def call(node: int) -> Step:
        """Solve and call a node."""

    @staticmethod
    def look_up(lookup: int) -> Step:
        """Look a dependency up among the overrides."""

@final
class Child:
    """A node that another one depends on."""

    def __new__(cls, *, node: int, is_argument: bool) -> Self:
        """Name a node by its index, and say whether its result is an argument."""

@final
class Positional:
    """How a function takes all its arguments by position."""

    def __new__(cls, *, code: CodeType, places: Sequence[int]) -> Self:
        """Give each argument its place in the function with this code.

        Raises:
            ValueError: an argument has not a place of its own.
        """

@final
class Lookup:
    """One dependency that is looked up among the overrides."""

    def __new__(cls, *, declared: Callable[..., Any] | None, expected: Callable[..., Any] | None) -> Self:
        """Look `declared` up; the plan calls `expected`."""

@final
class Node:
    """One dependency, or the endpoint."""

    def __new__(
        cls,
        *,
        call: Callable[..., Any] | None,
        kind: CallKind,
        dependant: Any,
        keywords: tuple[str, ...],
        lifetime: Lifetime,
        is_silent: bool = False,
        scheme: Scheme | None = None,
        parameters: Sequence[Parameter] = ...,
        leaf: bool = False,
        body: BodyKind = ...,
        body_fields: Sequence[Parameter] = ...,
        specials: Sequence[Special] = ...,
        children: Sequence[Child] = ...,
        positional: Positional | None = None,
        cache: int = 0,
        use_cache: bool = False,
    ) -> Self:
        """Make a node, which depends on `children`.

        `keywords` are the names of all arguments as they are laid out. Nodes with the same `cache` share a result.

        Raises:
            ValueError: the body is a whole, and not of one field.
        """

    @property
    def kind(self) -> CallKind:
        """How it is called."""

    @property
    def scheme(self) -> Scheme | None:
        """How its result is read without a call."""

    @property
    def dependant(self) -> Any:
        """The `Dependant` that it was made of."""

@final
class Answer:
    """The response half of a path operation."""

    @staticmethod
    def json(*, status: int | None) -> Answer:
        """Return FastAPI's `JSONResponse` of any object."""

    @staticmethod
    def model(
        *,
        validate: Callable[..., Any],
        to_json: Callable[..., Any],
        options: dict[str, Any],
        serializer: ModelSerializer | None,
        status: int | None,
    ) -> Answer:
        """Return what the serializer of a response model makes of what its validator has made."""

    @staticmethod
    def text(*, media_type: bytes, status: int | None) -> Answer:
        """Return a text response of Starlette's."""

    @staticmethod
    def general(*, status: int | None) -> Answer:
        """Return any other response, which Python makes."""

    @staticmethod
    def response(*, sends_stream: bool) -> Answer:
        """Return the response that the endpoint returns; a stream is sent as FastAPI sends it."""

    @staticmethod
    def stream(*, is_events: bool) -> Answer:
        """Return the response that Python makes of an endpoint that is a stream."""

    @staticmethod
    def solved(*, keys: Sequence[Any]) -> Answer:
        """Return none, but the arguments of the endpoint; `keys` are what the nodes' results are cached under."""

    @staticmethod
    def nothing() -> Answer:
        """Return none: the endpoint of a websocket has sent what it had to send."""

@final
class Plan:
    """A path operation, compiled: what to extract, in which order to call, how to answer."""

    def __new__(
        cls,
        *,
        nodes: Sequence[Node],
        steps: Sequence[Step],
        lookups: Sequence[Lookup],
        body: Reading,
        answer: Answer,
        parts: int,
        named_steps: int = 0,
        named_serialization: int = 0,
        named_request: int = 0,
        overrides_provider: Any,
        source: Snapshot,
        operation: Any,
    ) -> Self:
        """Compile dependencies in call order, the endpoint last, and the steps that lead through them.

        `lookups` are the dependencies that are looked up among the overrides. The others are the parts that Python can
        do by name while such a name is replaced: solving and calling, serializing, and making the `Request`.

        Raises:
            IndexError: an index leads out of the graph.
            ValueError: a node has more names than arguments.
        """

    @property
    def operation(self) -> Any:
        """The `PathOperation` it was compiled from."""

    @property
    def parts(self) -> int:
        """The parts of the engine that it is run by, as bits of `ferroapi._witness.Part`."""

    def is_current(self) -> bool:
        """Tell whether nobody replaced what it stands for, but perhaps what Python can call by name."""

@final
class ModelSerializer:
    """What writes the JSON of a response model in pydantic's place, where it is known beforehand."""

    def receive(self, value: Any) -> bytes | None:
        """Return the JSON of what an endpoint returned, None if pydantic must validate it first."""

    def write(self, value: Any) -> bytes | None:
        """Return the JSON of a validated value, None if pydantic must write it."""

@final
class PlainType(_Enum):
    """A type that holds no others."""

    ANY: Final[PlainType]
    NONE: Final[PlainType]
    STR: Final[PlainType]
    INT: Final[PlainType]
    FLOAT: Final[PlainType]
    BOOL: Final[PlainType]
    DATETIME: Final[PlainType]
    DATE: Final[PlainType]
    TIME: Final[PlainType]
    UUID: Final[PlainType]
    DECIMAL: Final[PlainType]
    BYTES: Final[PlainType]

@final
class ContainerType(_Enum):
    """A type that holds others."""

    NULLABLE: Final[ContainerType]
    LIST: Final[ContainerType]
    SET: Final[ContainerType]
    FROZENSET: Final[ContainerType]
    TUPLE: Final[ContainerType]
    """With a type for each item."""
    TUPLES: Final[ContainerType]
    """With one type for all items."""
    DICT: Final[ContainerType]
    """With a type for keys and one for values."""

@final
class JsonType:
    """A type whose JSON is known; `identity` says that validation keeps a value of exactly this type as it is."""

    @staticmethod
    def plain(kind: PlainType, *, identity: bool) -> JsonType:
        """Return a type that holds no others."""

    @staticmethod
    def literal(choices: Sequence[str | int], *, identity: bool) -> JsonType:
        """Return texts and whole numbers.

        Raises:
            ValueError: a choice is something else.
        """

    @staticmethod
    def enumeration(members: Sequence[tuple[Any, Any]], *, identity: bool) -> JsonType:
        """Return the members of an enumeration, each with its value.

        Raises:
            ValueError: a value is not plain.
        """

    @staticmethod
    def container(kind: ContainerType, items: Sequence[JsonType], *, identity: bool) -> JsonType:
        """Return a type that holds others.

        Raises:
            ValueError: their number is another.
        """

    @staticmethod
    def model(
        class_: type[Any],
        fields: Sequence[JsonField],
        *,
        keeps_instances: bool,
        is_open: bool,
        takes_dicts: bool,
        identity: bool,
    ) -> JsonType:
        """Return a model, and of what validation makes an instance by nothing else than collecting its fields' values.

        That are instances, which it keeps; with `is_open` the attributes of other objects; with `takes_dicts` dicts.
        """

    @property
    def identity(self) -> bool: ...

@final
class JsonField:
    """A field of a model, read from the first of its `sources` and written under `key`."""

    def __new__(
        cls,
        *,
        name: str,
        sources: Sequence[str],
        key: str,
        kind: JsonType,
        default: tuple[Any] | None,
        is_excluded: bool,
    ) -> Self:
        """Make a field; `default` holds what stands for it where it is missing in a dict."""

def plain_model(root: JsonType, exclude_none: bool) -> ModelSerializer:
    """Return the serializer of values of a type; with `exclude_none` fields that are None are left out."""

@final
class Awaitable:
    """What is awaited and runs in the engine: a request under way, a stream, a response from below; a coroutine."""

    def __await__(self) -> Generator[Any, Any, Any]: ...
    def __iter__(self) -> Generator[Any, Any, Any]: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any) -> Any:
        """Resume with a value.

        Raises:
            StopIteration: it is over.
            ValueError: it is what resumes it.
        """

    def throw(self, kind: Any, value: Any = None, _traceback: Any = None) -> Any:
        """Resume with an exception."""

    def close(self) -> None:
        """Give it up, and what it waits for."""

def stream(response: Any, send: Any) -> Awaitable:
    """Send the start of a streaming response, a message for each chunk of its `body_iterator`, and the end.

    Raises:
        AttributeError: when it is awaited, for a chunk that is neither text nor bytes.
    """

@final
class Recorder:
    """A `send` that notes whether the response has started."""

    def __new__(cls, send: Any) -> Self:
        """Pass messages on to `send`."""

    @property
    def has_started(self) -> bool:
        """Whether the start of a response has passed."""

    def __call__(self, message: Any) -> Any: ...

@final
class CrossOriginSend:
    """The `send` of a request that came through a `CORSMiddleware`: it adds what the class adds to a response."""

    def __call__(self, message: Any) -> Any: ...

def cross_origin(layer: Any, scope: Any, send: Any) -> CrossOriginSend | None:
    """Return the `send` for what is below a `CORSMiddleware`, None if the middleware itself must see the request."""

@final
class Entry:
    """One route in a table; the tables of a router share those that did not change."""

    def __new__(
        cls,
        *,
        path: str | None,
        methods: Any,
        methods_of: Any,
        http: bool,
        websocket: bool,
        route: Any,
        may_match: Callable[[Any, str], Any] | None,
        compile: Callable[[], Plan | None] | None,
        scope_items: dict[str, Any],
        fastapi_items: dict[str, Any] | None,
        limit: int | None,
        cancels: bool,
        telemetry_path: str | None,
        candidate: Any,
        include_path: Any,
    ) -> Self:
        """Make an entry that is found by the template `path`; without one, by calling `route.matches`.

        It answers these `methods`, or those that `methods_of` has at the time. `may_match` tells from a scope and the
        path in it, without the application's code, whether `route.matches` may match. `limit` is the largest body, in
        bytes; with `cancels` the request is cancelled when its client leaves; the two mappings are what the scope and
        `scope["fastapi"]` get. `candidate` and `include_path` are for Python.
        """

    @property
    def path(self) -> str | None: ...
    @property
    def methods(self) -> Any: ...
    @property
    def methods_of(self) -> Any: ...
    @property
    def websocket(self) -> bool: ...
    @property
    def route(self) -> Any: ...
    @property
    def compile(self) -> Callable[[], Plan | None] | None: ...
    @property
    def fastapi_items(self) -> dict[str, Any] | None: ...
    @property
    def telemetry_path(self) -> str | None: ...
    @property
    def candidate(self) -> Any: ...
    @property
    def include_path(self) -> Any: ...

@final
class Snapshot:
    """Attributes of objects, and the items of lists, as they were when something was compiled from them."""

    def __new__(cls, attributes: Sequence[tuple[Any, Sequence[str]]], lists: Sequence[list[Any]]) -> Self:
        """Take a snapshot of these attributes and of these lists."""

    def is_current(self) -> bool:
        """Tell whether every attribute is the object that it was, and every list has the items that it had."""

@final
class RouteTable:
    """A router's routes, compiled: finds the route of a scope in a time that does not grow with their number."""

    def __new__(
        cls,
        *,
        entries: Sequence[Entry],
        router: Any,
        parts: int,
        handle: int,
        entrance: int,
        refuses: bool,
        includes: bool,
        limit: int | None,
        previous: RouteTable | None,
        own_lists: Snapshot | None,
    ) -> Self:
        """Compile a router's entries.

        `parts` is what matching stands for, `handle` what a route does to come to its application, `entrance` what it
        takes to come from a server to this table, as bits of `ferroapi._witness.Part`. Of a path that no entry answers
        it is said whether that is a 404 and nothing else, whether it has been to an included router before, and the
        largest body, in bytes. What did not change since the `previous` table is shared. `own_lists` are the lists of
        routes that do not tell when they are edited.
        """

    @property
    def is_current(self) -> bool:
        """Whether no route has changed since the table was made."""

    def expire(self) -> None:
        """Note that a route, or the list of them, has changed."""

    def drive(self, scope: Any, receive: Any, send: Any) -> Awaitable | None:
        """Return the driver of the path operation that answers `scope`, None if Python must answer."""

    def connect(self, scope: Any) -> Plan | None:
        """Return the plan of the websocket endpoint that answers `scope`, None if Python must answer."""

    def select(self, scope: Any) -> tuple[int | None, Any] | None:
        """Return the index of the entry that answers `scope`, a full match before a partial one; None if none does.

        With it comes what its `matches` returned, if that had to be asked; None otherwise. There is no pair at all
        where only the entries can say: the scope is not as servers have it.
        """

@final
class Entrance:
    """The way from the server to the driver of an application that nothing stands before."""

    def __new__(cls, table: RouteTable, application: Any, layers: Witness, is_inner: bool) -> Self:
        """Open the way to the table of the application's router, past layers of its middleware stack.

        `is_inner` says that it begins below the user's middleware.
        """

    @property
    def is_current(self) -> bool:
        """Whether no route has changed since the table was made."""

    def serve(self, scope: Any, receive: Any, send: Any) -> Awaitable | Coroutine[Any, Any, None] | bool:
        """Run a request to where it first waits, and return the driver of the rest; True if it is over.

        Of a websocket nothing is run yet: what runs it is returned. False says that the application must look
        closer, and that nothing was run.
        """

def use_borrowed_workers() -> None:
    """Let the engine make its calls in worker threads that are borrowed from AnyIO, instead of by AnyIO."""

@final
class WorkQueue:
    """What a worker thread reads: the engine's calls, which `get` runs, and AnyIO's items, which it returns."""

    def __new__(cls, locals: Any) -> Self:
        """Make a queue for threads whose own data AnyIO keeps in `locals`."""

    def put_nowait(self, item: Any) -> None:
        """Append an item that `get` returns."""

    def get(self) -> Any:
        """Run the engine's calls until there is another item, and return that."""

    def call(self, context: Context, callable: Callable[[], Any]) -> Any:
        """Make a call in the thread that reads from here, which must be alive and idle, and wait for it.

        Raises:
            BaseException: what the call raises.
        """

    def describe_after_calls(self, describe: Callable[[], Any]) -> None:
        """Let `describe` be called in the thread after each of the engine's calls; the first one that is given stays.

        What it raises, the call raises.
        """

    @property
    def description(self) -> Any:
        """What `describe` has returned after the thread's last call; None where anything else has run since."""

    def task_done(self) -> None:
        """Do nothing: nobody joins this queue."""

@disjoint_base
class SteppedTask:
    """One call of an application, stepped by hand as if by a task of its own."""

    caller: Any
    scope: Any

    def __new__(cls, event_loop: Any, application: Any, arguments: tuple[Any, ...]) -> Self:
        """Prepare the call, in a copy of the context."""

    @property
    def context(self) -> Context:
        """The context that the task runs in."""

    @property
    def task(self) -> Any:
        """The task, once it is known."""

    @property
    def coroutine(self) -> Any:
        """What the application returned, to be resumed; None before and after."""

    @property
    def pending(self) -> Any:
        """What it is suspended on, as far as it was stepped by hand."""

    @property
    def is_by_hand(self) -> bool:
        """Whether the task has not made a step itself yet."""

    @property
    def is_followed(self) -> bool:
        """Whether the event loop has something to do before the call goes on that is behind its task in the queue."""

    @property
    def has_ended(self) -> bool:
        """Whether the call is over."""

    def begin_cancellation(self) -> None:
        """Take note that a cancellation of the task is on its way."""

    def end_cancellation(self) -> None:
        """Take note that a cancellation has come."""

    def begin_as(self, task: Any, has_its_turn: bool) -> None:
        """Begin as `task`: by hand, unless it has its turn of the event loop, or the caller handles an exception."""

    def hand_over(self) -> bool:
        """Leave the rest to the task; tell whether it has been left to it only now."""

    def adopt(self) -> None:
        """Put the task under the cancel scope that a task group would have put it under, unless it is over."""

    def begin(self) -> Any:
        """Call the application, make its first step, and return what it is suspended on."""

    def note_end(self) -> None:
        """Take note that the application is done, and tell the exchange."""

@disjoint_base
class ResponseMessages:
    """The messages between the calls of an application below a middleware function and one response."""

    def __new__(cls, application: Any, channels: Any, event_loop: Any) -> Self:
        """Begin without a message; `application` and `channels` are those of the subclass."""

    @property
    def host(self) -> Any:
        """The task of the middleware function."""

    @property
    def is_waiting_interrupted(self) -> bool:
        """Whether the event loop has to go round before the first message is taken: the middleware may be cancelled."""

    @property
    def is_passing_interrupted(self) -> bool:
        """Whether it has before another is taken, or one is sent: somebody is about to be cancelled, or was."""

    @property
    def is_escaping(self) -> bool:
        """Whether a call has ended by something else than an Exception, of which the task group does not know yet."""

    def begin_escape(self) -> None:
        """Take note that a call has ended by something else than an Exception."""

    def end_escape(self) -> None:
        """Take note that the task group would know now."""

    @property
    def calls(self) -> list[Any]:
        """The calls of what is below."""

    @property
    def have_all_ended(self) -> bool:
        """Whether all of them are over."""

    @property
    def is_closed(self) -> bool:
        """Whether the response has been sent."""

    @property
    def is_sending_closed(self) -> bool:
        """Whether a call is over, after which nothing can be sent."""

    def expect(self, call: SteppedTask) -> None:
        """Add a call; its messages come after those that wait."""

    @property
    def is_disturbed(self) -> bool:
        """Whether every message takes the turns of the event loop that it takes in AnyIO's streams."""

    def pass_on(self, message: Any, *, is_exact: bool = False) -> Any:
        """Take a message from below; return the future that its sender has to await first, or None.

        The sender of the last one goes on when the response has been sent; where it `is_exact` when it is taken.

        Raises:
            anyio.ClosedResourceError: a call is over.
        """

    def note_task(self) -> bool:
        """Take note that a call begins, of whose task the loop was told last; tell whether it waits for its turn."""

    @property
    def has_more_to_do(self) -> bool:
        """Whether the event loop will call something before what is begun by hand goes on, besides timers."""

    @staticmethod
    def is_last(message: Any) -> bool:
        """Tell whether nothing of a response comes after a message."""

    def take_back(self, turn: Any) -> bool:
        """Take back the message whose sender waits for this future; tell whether it had not been taken."""

    def await_close(self) -> Any:
        """Return a future for the time when the response has been sent."""

    def take_first(self) -> Any:
        """Return the first message of a call, None if something has to be awaited before.

        Raises:
            anyio.EndOfStream: there will be none.
            anyio.ClosedResourceError: the response has been sent.
        """

    def take(self) -> Any:
        """Return the next message, None if what is below has to wait for something before.

        Raises:
            anyio.EndOfStream: there will be none.
            anyio.ClosedResourceError: the response has been sent.
        """

    def want(self) -> Any:
        """Return a future for the next message."""

    def arrived(self) -> Any:
        """Return the message that has resolved that future, None if there will be none."""

    def give_up(self) -> None:
        """Want no message any more."""

    def await_end(self) -> Any:
        """Return a future for the end of a call."""

    def note_end(self) -> None:
        """Take note that a call is over: nothing can be sent any more."""

    def close(self) -> None:
        """Take note that the response has been sent."""

    def release(self) -> None:
        """Let those who have sent go on, as far as nothing is in the way."""

    def settle(self) -> bool:
        """Close, release, and make steps until something is in the way; tell whether all calls are over."""

def use_middleware_chain() -> None:
    """Let the engine hand its messages to `ResponseMessages` without awaiting them."""

def pass_response_on(messages: ResponseMessages, response: Any, send: Any) -> Awaitable:
    """Send the response that came from below, as it comes."""

@disjoint_base
class HTTPProtocol:
    """An HTTP/1.1 connection of uvicorn's: its subclass has the limits as attributes of the class."""

    def __new__(cls, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> Self:
        """Prepare a connection of a server."""

    loop: Any
    """The event loop."""
    transport: Any
    """The transport, once the connection is made."""
    scope: dict[str, Any] | None
    """The scope of the last request."""
    timeout_keep_alive_task: Any
    """The timer, while nothing but another request is waited for."""
    ws_protocol_class: Any
    """What a connection is given to that is to be a WebSocket."""

    def connection_made(self, transport: Any) -> None:
        """Begin with a connection."""

    def data_received(self, data: bytes) -> None:
        """Read what has arrived."""

    def process_pending(self) -> None:
        """Read what had arrived while a request was being answered."""

    def eof_received(self) -> None:
        """The client sends no more: what it has sent is answered."""

    def connection_lost(self, error: BaseException | None) -> None:
        """The connection is gone."""

    def shutdown(self) -> None:
        """Answer no more than the request that is being answered."""

    def pause_writing(self) -> None:
        """Let `send` wait."""

    def resume_writing(self) -> None:
        """Let `send` go on."""

    def expire(self) -> None:
        """Close the connection if its time is over."""

def count_thread_values() -> int | None:
    """How many values `threading.local` and extensions keep for this thread; none where that cannot be told."""
