"""Starlette's `Middleware` under FastAPI's name."""

from starlette.middleware import Middleware as Middleware
