"""The parts that stand for other libraries' code, and the variable that switches them off.

The engine imports none of them: each registers itself where the engine asks (`_engine.stand_ins`).
"""

import os
from collections.abc import Callable, Mapping

from ferroapi import _middleware, _models, _threads

VARIABLE = "FERROAPI_PLAIN"
"""`1` for all wings, or the names of some, with commas between them."""

_INSTALLED: Mapping[str, Callable[[], None]] = {
    "threads": _threads.install,
    "middleware": _middleware.install,
    "models": _models.install,
}
NAMES = (*_INSTALLED, "server")
"""The server's wing is looked at where uvicorn imports it (`server`)."""


def switched_off(setting: str) -> frozenset[str]:
    """Return the wings that a value of the variable switches off.

    Raises:
        ValueError: it names something else.
    """
    if setting in ("", "0", "1"):
        return frozenset(NAMES if setting == "1" else ())
    named = frozenset(name.strip() for name in setting.split(","))
    if unknown := ", ".join(sorted(named.difference(NAMES))):
        raise ValueError(f"{VARIABLE} is 1, or some of {', '.join(NAMES)} with commas between them: not {unknown!r}")
    return named


OFF = switched_off(os.environ.get(VARIABLE, ""))
"""The wings that are switched off in this process."""

for _name, _install in _INSTALLED.items():
    if _name not in OFF:
        _install()
