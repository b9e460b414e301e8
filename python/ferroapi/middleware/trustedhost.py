"""Starlette's `TrustedHostMiddleware` under FastAPI's name."""

from starlette.middleware.trustedhost import TrustedHostMiddleware as TrustedHostMiddleware
