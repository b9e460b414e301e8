"""What an event loop is about to do, read from where it keeps that: no loop has a public way to be asked.

Without it the turns of the event loop that code by hand saves are saved where something waits for one, too.
"""

import gc
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import ref

_last: tuple[Callable[[], AbstractEventLoop | None], "deque[Any] | None"] = (lambda: None, None)


def ready_calls(loop: AbstractEventLoop) -> "deque[Any] | None":
    """Return what a loop calls in its next turn, in order; None if it does not let that be seen."""
    global _last
    known, ready = _last
    if known() is not loop:
        ready = _found(loop)
        _last = ref(loop), ready
    return ready


def _found(loop: AbstractEventLoop) -> "deque[Any] | None":
    ready = getattr(loop, "_ready", None)
    # uvloop has an attribute that only the garbage collector sees.
    candidates = [ready] if ready is not None else gc.get_referents(loop)
    queues = [each for each in candidates if type(each) is deque]
    if not queues:
        return None
    sizes = [len(each) for each in queues]
    handle = loop.call_soon(_nothing)
    found = [each for each, size in zip(queues, sizes, strict=True) if len(each) == size + 1 and each[-1] is handle]
    handle.cancel()
    return found[0] if len(found) == 1 else None


def _nothing() -> None:
    pass


def has_due_timer(loop: AbstractEventLoop) -> bool | None:
    """Tell whether the time has come for something that a loop is to call; None if it does not let that be seen."""
    timers = getattr(loop, "_scheduled", None)
    if not isinstance(timers, list):
        return None
    return bool(timers) and timers[0].when() <= loop.time()
