"""Starlette's `StaticFiles` under FastAPI's name."""

from starlette.staticfiles import StaticFiles as StaticFiles
