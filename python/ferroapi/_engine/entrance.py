"""What is downstream of the user's middleware, entered in one call: past Starlette's two inner layers and the router.

The layers stay as they are; whoever looks at the stack finds them, and they serve what the driver leaves to Python.
"""

from collections.abc import Callable

from starlette.middleware import exceptions
from starlette.types import Receive, Scope, Send

from ferroapi import _core


class PassedExceptionMiddleware(exceptions.ExceptionMiddleware):
    """What Starlette's layer becomes while its application goes past it: whoever wraps that finds the layer itself."""

    _make_entrance: Callable[[], _core.Entrance | None]
    _entrance: _core.Entrance | None

    @classmethod
    def open(cls, layer: exceptions.ExceptionMiddleware, make_entrance: Callable[[], _core.Entrance | None]) -> None:
        """Let a layer go past itself from now on, where an entrance can be made."""
        layer.__dict__.update(_make_entrance=make_entrance, _entrance=None)
        layer.__class__ = cls

    def close(self) -> None:
        """Be Starlette's layer again."""
        self.__class__ = exceptions.ExceptionMiddleware  # type: ignore[assignment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            if (entrance := self._entrance) is None or not entrance.is_current:
                entrance = self._entrance = self._make_entrance()
            if entrance is not None:
                # The user's middleware has the scope in its hands, too.
                scope["starlette.exception_handlers"] = self._exception_handlers, self._status_handlers
                rest = entrance.serve(scope, receive, send)
                if rest is True:
                    return
                if rest is not False:
                    await rest
                    return
        await super().__call__(scope, receive, send)


# Tracers and whoever prints a stack name a layer by its class. It is Starlette's layer for them.
for _name in ("__module__", "__name__", "__qualname__"):
    setattr(PassedExceptionMiddleware, _name, getattr(exceptions.ExceptionMiddleware, _name))
