"""The parts that stand for other libraries' code; the engine imports none of them, each registers itself there."""

from ferroapi import _middleware, _threads

_threads.install()
_middleware.install()
