"""Starlette's `WSGIMiddleware` under FastAPI's name."""

from starlette.middleware.wsgi import WSGIMiddleware as WSGIMiddleware
