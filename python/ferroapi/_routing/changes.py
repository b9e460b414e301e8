"""Who is told when a route, or a list of routes, is edited: the tables that were made of it.

Only what matching and compiling read is told of. A route keeps weak references; a table keeps the routes.
"""

import threading
from collections.abc import Iterable
from typing import Any, Protocol, SupportsIndex
from weakref import ref

from starlette.routing import BaseRoute

MATCHED_ATTRIBUTES = frozenset(
    {
        "path",
        "path_regex",
        "param_convertors",
        "methods",
        "endpoint",
        "app",
        "matches",
        "handle",
        "original_route",
        "starlette_route",
        "__class__",
    }
)
"""The attributes of a route, or of a view on it, that say what it matches and how it answers."""


class Observer(Protocol):
    """What is told of edits."""

    def note(self, changed: Any) -> None:
        """Take note that an object was edited."""


class Reference(ref[Any]):
    """A weak reference to an `Observer`. In a copy or a pickle of what is observed, it refers to nobody."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return Reference, (_Nobody(),)


class _Nobody:
    """What a reference in a copy was made to, and is gone at once."""


_registering = threading.Lock()


class Observed(Protocol):
    """Something that tells its observers when it was edited."""

    _observers: tuple[Reference, ...]


def observe(observed: Observed, observer: Reference) -> None:
    """Tell an observer from now on, as long as it lives."""
    if observer in getattr(observed, "_observers", ()):
        return
    with _registering:
        known = getattr(observed, "_observers", ())
        living = (each for each in known if each() is not None and each is not observer)
        observed._observers = (*living, observer)


def tell_observers(observed: Observed) -> None:
    """Tell all observers of an edit."""
    for reference in getattr(observed, "_observers", ()):
        observer: Observer | None = reference()
        if observer is not None:
            observer.note(observed)


class ObservedRoute:
    """A route, or a view on one, that tells of assignments to what is matched and compiled."""

    __slots__ = ("__dict__", "_observers")

    _observers: tuple[Reference, ...]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in MATCHED_ATTRIBUTES:
            tell_observers(self)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in MATCHED_ATTRIBUTES:
            tell_observers(self)


class RouteList(list[BaseRoute]):
    """A router's routes: a list that tells the tables when it is edited in place."""

    __slots__ = ("_observers",)

    _observers: tuple[Reference, ...]

    def tell(self) -> None:
        """Tell all observers of an edit."""
        tell_observers(self)

    def append(self, route: BaseRoute, /) -> None:
        super().append(route)
        self.tell()

    def extend(self, routes: Iterable[BaseRoute], /) -> None:
        super().extend(routes)
        self.tell()

    def insert(self, index: SupportsIndex, route: BaseRoute, /) -> None:
        super().insert(index, route)
        self.tell()

    def remove(self, route: BaseRoute, /) -> None:
        super().remove(route)
        self.tell()

    def pop(self, index: SupportsIndex = -1, /) -> BaseRoute:
        route = super().pop(index)
        self.tell()
        return route

    def clear(self) -> None:
        super().clear()
        self.tell()

    def reverse(self) -> None:
        super().reverse()
        self.tell()

    def sort(self, *, key: Any = None, reverse: bool = False) -> None:
        super().sort(key=key, reverse=reverse)
        self.tell()

    def __setitem__(self, index: Any, route: Any, /) -> None:
        super().__setitem__(index, route)
        self.tell()

    def __delitem__(self, index: SupportsIndex | slice, /) -> None:
        super().__delitem__(index)
        self.tell()

    def __iadd__(self, routes: Iterable[BaseRoute], /) -> "RouteList":  # type: ignore[misc, override]
        self.extend(routes)
        return self

    def __imul__(self, times: SupportsIndex, /) -> "RouteList":
        super().__imul__(times)
        self.tell()
        return self
