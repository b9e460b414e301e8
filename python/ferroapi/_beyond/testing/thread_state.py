"""What user code may leave in a thread: a thread is used again only where it is as one that starts now."""

import contextlib
import gc
import sys
import threading
import weakref
from typing import Any

from ..._core import count_thread_values as _count_in_dictionary

sniffio: Any
try:
    import sniffio
except ImportError:
    sniffio = None


def make_thread_values() -> None:
    """Do what almost every application does, so that its values of the thread are there before they are counted."""
    repr([None])
    if sniffio is not None:
        with contextlib.suppress(sniffio.AsyncLibraryNotFoundError):
            sniffio.current_async_library()


def announce_asyncio() -> None:
    """Have `sniffio` say, in the current context, that this is asyncio."""
    if sniffio is not None:
        sniffio.current_async_library_cvar.set("asyncio")


def thread_state() -> tuple[object, ...]:
    """Return what user code may have changed in the current thread."""
    return (*values_in_thread(), *describe_thread(threading.current_thread()))


def values_in_thread() -> tuple[object, ...]:
    """Return the part of `thread_state` that only the thread itself can see."""
    return count_thread_values(), type(sys.gettrace()), type(sys.getprofile())


def describe_thread(thread: threading.Thread) -> tuple[object, ...]:
    """Return the part of `thread_state` that any thread can see."""
    return sys.getrefcount(thread), weakref.getweakrefcount(thread), thread.name, len(vars(thread))


def thread_hooks() -> tuple[object, object]:
    """Return what threads begin with: debuggers and coverage set it."""
    return threading.gettrace(), threading.getprofile()


def count_thread_values() -> int | None:
    """Return how many values are kept for the current thread, None where they cannot be counted.

    Source: CPython's Modules/_threadmodule.c. Before 3.13, the values of a `threading.local` are in the dictionary of
    the thread. Since then, an object stands for the thread, and each `threading.local` with values of it has a weak
    reference to that.
    """
    in_dictionary = _count_in_dictionary()
    if sys.version_info < (3, 13):
        return in_dictionary
    local = threading.local()
    local.value = None
    for watched in gc.get_referents(local):
        if isinstance(watched, set) and len(watched) == 1:
            (reference,) = watched
            if isinstance(reference, weakref.ref):
                return (in_dictionary or 0) + weakref.getweakrefcount(reference()) - 1
    return None


def _can_count() -> bool:
    kept: list[threading.local] = []
    counted = [count_thread_values()]
    for _ in range(2):
        kept.append(threading.local())
        counted.append(count_thread_values())
    kept.clear()
    counted.append(count_thread_values())
    first = counted[0]
    return first is not None and counted == [first, first + 1, first + 2, first]


# Without the interpreter's lock, the number of references says less.
CAN_COUNT = _can_count() and getattr(sys, "_is_gil_enabled", lambda: True)()
