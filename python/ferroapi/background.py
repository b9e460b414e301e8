"""Background tasks: work done after the answer is sent, each task in a telemetry span of its own."""

from collections.abc import Callable
from typing import Any

from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from typing_extensions import ParamSpec

from ferroapi.telemetry._api import _operation

P = ParamSpec("P")


class BackgroundTasks(StarletteBackgroundTasks):
    """Functions to call, in order, once the answer is sent; asked for as a parameter of an endpoint or dependency."""

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call `func` with these arguments later; in a worker thread if it is not a coroutine function."""
        super().add_task(func, *args, **kwargs)

    async def __call__(self) -> None:
        # Tasks may add tasks: the list is read while it grows.
        for task in self.tasks:
            with _operation(name="background_task", function=task.func):
                await task()
