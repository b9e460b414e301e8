"""Stands for Starlette's middleware: its layers are run without what a request cannot observe."""

from ferroapi import _core


def install() -> None:
    """Let the engine hand its messages to the chain's functions from now on."""
    _core.use_middleware_chain()
