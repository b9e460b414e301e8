"""What is below the user's middleware, entered in one call: past Starlette's two inner layers and the router.

The layers stay as they are; whoever looks at the stack finds them, and they serve what the driver leaves to Python.
"""

from collections.abc import Callable

from starlette.middleware import exceptions
from starlette.types import Receive, Scope, Send

from ferroapi import _core


class ExceptionMiddleware(exceptions.ExceptionMiddleware):
    """What Starlette's layer becomes while its application goes past it: whoever wraps that finds the layer itself."""

    _make_gate: Callable[[], _core.Gate | None]
    _gate: _core.Gate | None

    @classmethod
    def open(cls, layer: exceptions.ExceptionMiddleware, make_gate: Callable[[], _core.Gate | None]) -> None:
        """Let a layer go past itself from now on, where a gate can be made."""
        layer.__dict__.update(_make_gate=make_gate, _gate=None)
        layer.__class__ = cls

    def close(self) -> None:
        """Be Starlette's layer again."""
        self.__class__ = exceptions.ExceptionMiddleware  # type: ignore[assignment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            if (gate := self._gate) is None or not gate.is_current:
                gate = self._gate = self._make_gate()
            if gate is not None:
                # The user's middleware has the scope in its hands, too.
                scope["starlette.exception_handlers"] = self._exception_handlers, self._status_handlers
                rest = gate.enter(scope, receive, send)
                if rest is True:
                    return
                if rest is not False:
                    await rest
                    return
        await super().__call__(scope, receive, send)
