"""Stands for AnyIO's calls in worker threads: its own threads, borrowed for one call at a time."""

from ferroapi import _core


def install() -> None:
    """Let the engine make its calls by `workers` from now on."""
    _core.use_borrowed_workers()
