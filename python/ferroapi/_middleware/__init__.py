"""Stands for Starlette's middleware: its layers are run without what a request cannot observe."""

from ferroapi import _core
from ferroapi._engine import stand_ins


def install() -> None:
    """Let the engine run known layers by the chain, and hand it messages, from now on."""
    from ferroapi._middleware import chain, scopes

    stand_ins.middleware = chain.MIDDLEWARE
    if scopes.IS_KNOWN:
        stand_ins.is_unscoped = scopes.is_unscoped
    _core.use_middleware_chain()
