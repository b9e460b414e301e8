"""Where an application meets telemetry: whether a request is observed, and what the middleware stack adds.

The observation itself, which needs opentelemetry, is in `_observation`.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from ferroapi import _core
from ferroapi.telemetry._api import _HTTP_METHODS, TelemetryConfig, _exception, telemetry_possible, watch_providers

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

    from ferroapi.telemetry._observation import Instruments

_Provider = TypeVar("_Provider")
_Built = TypeVar("_Built")


def _legacy_otel(stack: Any) -> bool:
    """Tell whether a middleware stack holds the middleware of opentelemetry's own instrumentation."""
    seen: set[int] = set()
    while stack is not None and id(stack) not in seen:
        seen.add(id(stack))
        cls = type(stack)
        if (cls.__module__, cls.__name__) == ("opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware"):
            return True
        stack = getattr(stack, "app", None)
    return False


class ExceptionTelemetryMiddleware:
    """Notes an exception before the handler outside of it has answered, which completes the request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as exc:
            _exception(scope=scope, exc=exc)
            raise


class _PerProvider(Generic[_Provider, _Built]):
    """What was built from a provider, until another provider takes its place."""

    def __init__(self) -> None:
        self._last: tuple[_Provider, _Built] | None = None

    def get(self, provider: _Provider, build: Callable[[_Provider], _Built]) -> _Built:
        """Return what `build` made of this provider, building it where the last one was another."""
        last = self._last
        if last is None or last[0] is not provider:
            last = self._last = (provider, build(provider))
        return last[1]


def _known_methods() -> frozenset[str]:
    """Return the methods recorded by name; the environment may replace the list."""
    listed = os.getenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "").split(",")
    return frozenset(filter(None, map(str.strip, listed))) or _HTTP_METHODS


class NativeTelemetry:
    """The telemetry of one application, under its configuration."""

    def __init__(self, config: TelemetryConfig) -> None:
        self.config = config
        self.known_methods = _known_methods()
        self._known: tuple[_core.Witness, TelemetryConfig, bool] | None = None
        self.tracers: _PerProvider[TracerProvider, Tracer] = _PerProvider()
        self.instruments: _PerProvider[MeterProvider, Instruments] = _PerProvider()

    def enabled(self) -> bool:
        """Tell whether any signal has somewhere to go, so that a request is worth observing."""
        known = self._known
        if known is not None and known[1] is self.config and not known[0].replaced:
            return known[2]
        # Taken before the providers are looked at: one that is set meanwhile is noticed by the next request.
        config = self.config
        witness = watch_providers(config)
        is_possible = telemetry_possible(config)
        self._known = None if witness is None else (witness, config, is_possible)
        return is_possible

    async def __call__(
        self, *, app: ASGIApp, scope: Scope, receive: Receive, send: Send, legacy_otel: bool = False
    ) -> None:
        """Run `app` under observation, unless the request is excluded or nothing would be recorded.

        `legacy_otel` says that another instrumentation records the request already.
        """
        exclude = self.config.get("exclude")
        from ferroapi.telemetry._observation import Observation, live_providers, run_excluded

        if exclude is not None and exclude(scope):
            await run_excluded(app, scope, receive, send)
            return
        providers = None if legacy_otel else live_providers(self.config, is_websocket=scope["type"] == "websocket")
        if providers is None:
            await app(scope, receive, send)
        else:
            await Observation(self, providers, scope).run(app, receive, send)
