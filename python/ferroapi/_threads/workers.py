"""Calls in worker threads, for the driver: by AnyIO, or by a thread that is borrowed from AnyIO's pool for one call.

The other half is `rust/core/src/worker.rs`. Where anything is unusual, `anyio.to_thread.run_sync` makes the call.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from anyio import CancelScope, CapacityLimiter, to_thread

_RUN_SYNC = to_thread.run_sync


def _refuse(is_limited: bool) -> None:
    return None


def _call(call: Callable[[], Any]) -> Any:
    return call()


try:
    from ferroapi._threads.anyio_pool import adopt_thread_and_call, borrow_thread
except ImportError:  # another AnyIO than the pool was read of
    borrow_thread: Callable[[bool], Any] = _refuse  # type: ignore[no-redef]
    adopt_thread_and_call = _call


def borrow(is_limited: bool) -> Any:
    """Return a `Loan`, None if AnyIO has to make the call: it would wait, refuse, start a thread, or was replaced."""
    return borrow_thread(is_limited) if to_thread.run_sync is _RUN_SYNC else None


async def run_sync(call: Callable[[], Any], is_limited: bool) -> Any:
    """Let AnyIO make the call: under its default limiter; or beside it, whatever happens to the request."""
    if is_limited:
        return await to_thread.run_sync(partial(adopt_thread_and_call, call))
    with CancelScope(shield=True):
        return await to_thread.run_sync(partial(adopt_thread_and_call, call), limiter=CapacityLimiter(1))
