"""The extension against references: Starlette's router, FastAPI's parameters, Python's `json`."""
