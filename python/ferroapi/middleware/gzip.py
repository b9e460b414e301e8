"""Starlette's `GZipMiddleware` under FastAPI's name."""

from starlette.middleware.gzip import GZipMiddleware as GZipMiddleware
