"""Calls in worker threads, for the driver: by AnyIO, or by a worker that is borrowed from AnyIO's pool for one call.

The other half is `rust/core/src/wings/threads`. Where anything is unusual, `anyio.to_thread.run_sync` makes the call.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from anyio import to_thread

from ferroapi._engine import offload

_RUN_SYNC = to_thread.run_sync


def _refuse(is_limited: bool) -> None:
    return None


def _call(call: Callable[[], Any]) -> Any:
    return call()


try:
    from ferroapi._threads.anyio_pool import adopt_thread_and_call, borrow_worker
except ImportError:  # another AnyIO than the pool was read of
    borrow_worker: Callable[[bool], Any] = _refuse  # type: ignore[no-redef]
    adopt_thread_and_call = _call


def borrow(is_limited: bool) -> Any:
    """Return a `BorrowedWorker`, None if AnyIO makes the call: it would wait, start a thread, or was replaced."""
    return borrow_worker(is_limited) if to_thread.run_sync is _RUN_SYNC else None


def run_sync(call: Callable[[], Any], is_limited: bool) -> Coroutine[Any, Any, Any]:
    """Let AnyIO make the call, in a thread that the engine may borrow from then on."""
    return offload.run_sync(partial(adopt_thread_and_call, call), is_limited)
