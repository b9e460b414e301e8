"""The verb decorators that the application and routers share. Says nothing of what a route is: that is `routing`."""

from collections.abc import Callable, Sequence

from typing_extensions import Unpack

from ferroapi._option_defaults import OPERATION_DEFAULTS
from ferroapi._options import OperationOptions
from ferroapi._signature import expands
from ferroapi.params import Depends
from ferroapi.types import DecoratedCallable


class PathOperations:
    """Decorators that add a *path operation*, for a class with `api_route` and `add_api_websocket_route`."""

    def _add_operation(
        self, method: str, path: str, options: OperationOptions
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        api_route: Callable[..., Callable[[DecoratedCallable], DecoratedCallable]] = self.api_route  # type: ignore[attr-defined]
        return api_route(path=path, methods=[method], **(OPERATION_DEFAULTS | options))

    @expands(OperationOptions, OPERATION_DEFAULTS)
    def get(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Add a *path operation* for HTTP GET at `path`."""
        return self._add_operation("GET", path, OperationOptions(**options))

    @expands(OperationOptions, OPERATION_DEFAULTS)
    def put(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Add a *path operation* for HTTP PUT at `path`."""
        return self._add_operation("PUT", path, OperationOptions(**options))

    @expands(OperationOptions, OPERATION_DEFAULTS)
    def post(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Add a *path operation* for HTTP POST at `path`."""
        return self._add_operation("POST", path, OperationOptions(**options))

    @expands(OperationOptions, OPERATION_DEFAULTS)
    def delete(
        self, path: str, **options: Unpack[OperationOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Add a *path operation* for HTTP DELETE at `path`."""
        return self._add_operation("DELETE", path, OperationOptions(**options))

    @expands(OperationOptions, OPERATION_DEFAULTS)
    def options(
        self, path: str, **options: Unpack[OperationOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Add a *path operation* for HTTP OPTIONS at `path`."""
        return self._add_operation("OPTIONS", path, OperationOptions(**options))

    @expands(OperationOptions, OPERATION_DEFAULTS)
    def head(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Add a *path operation* for HTTP HEAD at `path`."""
        return self._add_operation("HEAD", path, OperationOptions(**options))

    @expands(OperationOptions, OPERATION_DEFAULTS)
    def patch(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Add a *path operation* for HTTP PATCH at `path`."""
        return self._add_operation("PATCH", path, OperationOptions(**options))

    @expands(OperationOptions, OPERATION_DEFAULTS)
    def trace(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Add a *path operation* for HTTP TRACE at `path`."""
        return self._add_operation("TRACE", path, OperationOptions(**options))

    def websocket(
        self, path: str, name: str | None = None, *, dependencies: Sequence[Depends] | None = None
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Add a WebSocket endpoint at `path`; `dependencies` run for their effect before it."""
        add: Callable[..., None] = self.add_api_websocket_route  # type: ignore[attr-defined]

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            add(path, func, name=name, dependencies=dependencies)
            return func

        return decorator


class ForwardedOperations(PathOperations):
    """The same decorators for a class that leaves them to its `router`."""

    def _add_operation(
        self, method: str, path: str, options: OperationOptions
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        # By name, not through api_route: a router that overrides `get` expects the application's `get` to reach it.
        verb: Callable[..., Callable[[DecoratedCallable], DecoratedCallable]] = getattr(
            self.router,  # type: ignore[attr-defined]
            method.lower(),
        )
        return verb(path, **(OPERATION_DEFAULTS | options))
