"""Starlette's `CORSMiddleware` under FastAPI's name."""

from starlette.middleware.cors import CORSMiddleware as CORSMiddleware
