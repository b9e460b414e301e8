"""Starlette's middleware, run without what a request cannot observe."""
