"""Clients for tests: Starlette's interface at a fraction of its cost, and one for tests that are coroutines."""
