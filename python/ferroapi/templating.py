"""Starlette's `Jinja2Templates` under FastAPI's name."""

from starlette.templating import Jinja2Templates as Jinja2Templates
