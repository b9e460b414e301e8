"""Measurements of ferroapi beside FastAPI and a hand-written ASGI application. `python -m benches` runs them."""
