"""Starlette's `HTTPSRedirectMiddleware` under FastAPI's name."""

from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware as HTTPSRedirectMiddleware
