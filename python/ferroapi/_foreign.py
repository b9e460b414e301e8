"""Objects of the real `fastapi` in a ferroapi application: an error where they are declared, which names the alias.

They look like ours and would be taken for something else: a dependency that guards a path, for a parameter's default.
"""

import sys
from collections.abc import Mapping
from typing import Any

from ferroapi.exceptions import FastAPIError

_THEIRS = "fastapi"

# Starlette's classes do all that these are asked for.
_HARMLESS_MODULES = frozenset({"fastapi.responses"})


def refuse_foreign(*values: Any) -> None:
    """Refuse instances and subclasses of classes that the real `fastapi` defines.

    Raises:
        FastAPIError: one of the values is such an object; the message says how to have one framework only.
    """
    # Under the alias there is no other `fastapi`: this module is part of it.
    if _THEIRS not in sys.modules or __name__.partition(".")[0] == _THEIRS:
        return
    for value in values:
        for base in (value if isinstance(value, type) else type(value)).__mro__:
            if base.__module__.partition(".")[0] == _THEIRS and base.__module__ not in _HARMLESS_MODULES:
                raise FastAPIError(_message(value, base))


def refuse_foreign_options(options: Mapping[str, Any]) -> None:
    """Refuse such objects among the values of options, and in the lists among them.

    Raises:
        FastAPIError: as `refuse_foreign`.
    """
    if _THEIRS in sys.modules:
        for value in options.values():
            refuse_foreign(*(value if isinstance(value, list | tuple) else (value,)))


def refuse_foreign_exceptions(*keys: Any) -> None:
    """Refuse classes of the real `fastapi` that are to have a handler: what ferroapi raises would not meet it.

    Raises:
        FastAPIError: as `refuse_foreign`; a class of the user's own below one of them is none.
    """
    refuse_foreign(*(key for key in keys if isinstance(key, type) and key.__module__.partition(".")[0] == _THEIRS))


def _message(value: Any, base: type) -> str:
    name = f"{base.__module__}.{base.__qualname__}"
    what = f"an object of {name}" if not isinstance(value, type) else name if value is base else f"a subclass of {name}"
    return (
        f"ferroapi was given {what}, of the real fastapi, which it does not know: {value!r}. Import the name from "
        "ferroapi; or, if a package brings it, let every `import fastapi` mean ferroapi: start the process with "
        "FERROAPI_ALIAS=1 in its environment, or call ferroapi.alias.install() before the first import."
    )
