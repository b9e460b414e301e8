"""Who is told when a route, or a list of routes, is edited: the tables that were made of it.

Only what matching and compiling read is told of. A route keeps weak references; a table keeps the routes.
"""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol
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
        # Not by assignment: a subclass may have a `__setattr__` of its own.
        object.__setattr__(observed, "_observers", (*living, observer))


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


def _telling(edit: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of lists that tells of the edit when it is made."""

    @wraps(edit)
    def edited(routes: RouteList, *arguments: Any, **keywords: Any) -> Any:
        result = edit(routes, *arguments, **keywords)
        routes.tell()
        return result

    return edited


_EDITS = "append extend insert remove pop clear reverse sort __setitem__ __delitem__ __iadd__ __imul__"

for _name in _EDITS.split():
    setattr(RouteList, _name, _telling(getattr(list, _name)))
