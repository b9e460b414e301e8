"""What an application and a request are, as data. `strategies` draws them, `build` and `serve` run them."""

from dataclasses import dataclass, field
from typing import Any

from .types import REQUIRED


@dataclass(frozen=True)
class Parameter:
    name: str
    source: str
    type: str
    default: Any = REQUIRED
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Dependence:
    """A parameter that is the result of the application's dependency of this number."""

    name: str
    number: int
    use_cache: bool = True
    scope: str | None = None
    scopes: tuple[str, ...] | None = None
    """OAuth scopes; a `Security` instead of a `Depends`."""


@dataclass(frozen=True)
class Special:
    """A parameter that is an object of the framework."""

    name: str
    kind: str


@dataclass(frozen=True)
class Function:
    """A dependency or an endpoint: how it is written, what it takes, what it does."""

    name: str
    kind: str
    parameters: tuple[Parameter | Dependence | Special, ...] = ()
    does: str = "returns"
    result: str = "values"
    yields: str | None = None
    """The type that a stream says it yields, if it says it, as `iterable of TYPE`."""


@dataclass(frozen=True)
class Operation:
    path: str
    method: str
    """`WEBSOCKET` for one of those."""
    endpoint: Function
    options: tuple[tuple[str, Any], ...] = ()
    dependencies: tuple[int, ...] = ()


@dataclass(frozen=True)
class Application:
    operations: tuple[Operation, ...]
    dependencies: tuple[Function, ...] = ()
    prefixes: tuple[str, ...] = ()
    """The routers around the operations, outermost first."""
    router_dependencies: tuple[int, ...] = ()
    handlers: tuple[str, ...] = ()
    middleware: tuple[str, ...] = ()
    """From the innermost to the outermost, as they are added."""
    options: tuple[tuple[str, Any], ...] = ()
    router_options: tuple[tuple[str, Any], ...] = ()
    include_options: tuple[tuple[str, Any], ...] = ()
    """What the application, the innermost router and the inclusion of the outermost one are told."""
    overrides: tuple[tuple[int, int], ...] = ()
    """Dependencies that are overridden, each with what takes its place."""
    mounted: bool = False
    """Whether all of this is mounted into another application."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    chunks: tuple[bytes, ...] = (b"",)
    """The parts of the body; the messages of a WebSocket, of which every second one is text."""
    root_path: str = ""
    disconnects: bool = False
    """Whether the client leaves before it has sent all of the body."""


@dataclass
class Outcome:
    """All that a server and the application's own code can see of one request."""

    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    raised: str | None = None
    log: list[Any] = field(default_factory=list)
