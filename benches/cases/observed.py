"""Applications that a published package observes. It replaces names of `fastapi`, so each runs in a process of its own.

`framework` is `fastapi`, the real one or, under the alias, ferroapi: the packages import it by that name. Nothing is
exported, and what is sampled is not left to chance.
"""
# mypy: disable-error-code="attr-defined, import-untyped, no-any-return, no-untyped-def, untyped-decorator"

from collections.abc import Callable
from types import ModuleType
from typing import Any

from starlette.requests import Request

from benches.cases.application import json
from benches.cases.exchange import ASGIApp


def sentry(rate: float) -> Callable[[ModuleType], ASGIApp]:
    """Return the builder of an application under Sentry, which traces this share of the requests."""

    def build(framework: ModuleType) -> ASGIApp:
        import sentry_sdk
        from sentry_sdk.transport import Transport

        class Discarding(Transport):
            def capture_envelope(self, envelope: Any) -> None:
                pass

        # Sessions are sent by a thread of their own.
        sentry_sdk.init(
            "https://key@sentry.example/1", transport=Discarding, traces_sample_rate=rate, auto_session_tracking=False
        )
        return json(framework)

    return build


def logfire(framework: ModuleType) -> ASGIApp:
    import logfire

    logfire.configure(send_to_logfire=False, console=False)
    app = json(framework)
    logfire.instrument_fastapi(app)
    return app


def opentelemetry(framework: ModuleType) -> ASGIApp:
    """OpenTelemetry's own instrumentation, where the sampler takes no request: most of them, in production."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    app = json(framework)
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    meter = MeterProvider(shutdown_on_exit=False)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=tracer, meter_provider=meter)
    return app


def prometheus(framework: ModuleType) -> ASGIApp:
    from prometheus_fastapi_instrumentator import Instrumentator

    app = json(framework)
    Instrumentator().instrument(app).expose(app)
    return app


def slowapi(framework: ModuleType) -> ASGIApp:
    """A limit that no bench reaches, in memory."""
    from slowapi import Limiter
    from slowapi.util import get_remote_address

    limiter = Limiter(key_func=get_remote_address)
    app = framework.FastAPI()
    app.state.limiter = limiter

    @app.get("/json")
    @limiter.limit("1000000000/day")
    async def read(request: Request):  # No return type, as in `json`: FastAPI serializes `Any` by pydantic.
        return {"message": "Hello, World!"}

    return app
