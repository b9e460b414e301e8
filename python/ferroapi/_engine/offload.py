"""Calls in worker threads, for the driver: AnyIO makes them, unless `_threads` stands for it."""

from collections.abc import Callable
from typing import Any

from anyio import CancelScope, CapacityLimiter, to_thread


async def run_sync(call: Callable[[], Any], is_limited: bool) -> Any:
    """Let AnyIO make the call: under its default limiter; or beside it, whatever happens to the request."""
    if is_limited:
        return await to_thread.run_sync(call)
    with CancelScope(shield=True):
        return await to_thread.run_sync(call, limiter=CapacityLimiter(1))
