"""Whether what stands under a name is the definition of that name, and nothing that a package put in its place.

For what may have been replaced before ferroapi was imported; `_witness` sees what is replaced after that.
"""

from functools import lru_cache
from json import JSONDecoder
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

_Remembering = type(lru_cache(str))

_DEFINING = frozenset(
    {
        "ferroapi",
        "fastapi",
        "starlette",
        "pydantic",
        "pydantic_core",
        "anyio",
        "json",
        "base64",
        "copy",
        "dataclasses",
        "functools",
        "inspect",
        "contextlib",
        "tempfile",
        "typing",
        "collections",
        "enum",
        "pathlib",
        "urllib",
        "python_multipart",
    }
)
"""The packages whose definitions are originals, whatever else stands under their names."""


def is_defined(found: Any, qualified: str) -> bool:
    """Tell whether an object is the definition of this qualified name, and nothing that somebody put in its place.

    Packages may have replaced it before ferroapi was imported, so that there is nothing to compare it with. What stands
    in for it may carry its name, and even say that it is of its class; its code is written elsewhere.
    """
    found = getattr(found, "__func__", found) if type(found) in (staticmethod, classmethod) else found
    found = found.fget if type(found) is property else found
    found = found.__wrapped__ if type(found) is _Remembering else found
    if type(found) is FunctionType:
        home = str(found.__globals__.get("__name__"))
        if home == "contextlib" and "__wrapped__" in found.__dict__:
            return is_defined(found.__dict__["__wrapped__"], qualified)
        return found.__code__.co_qualname == qualified and home.partition(".")[0] in _DEFINING
    # Not by `isinstance`, which asks the object itself.
    if type(found) in (BuiltinFunctionType, type) and found.__module__ == "_json":
        return True
    if type(found) is JSONDecoder:
        # What scans is another object in each.
        return vars(found) | {"scan_once": None} == vars(JSONDecoder()) | {"scan_once": None}
    if issubclass(type(found), type):
        return found.__qualname__ == qualified and found.__module__.partition(".")[0] in _DEFINING
    return type(found) is ModuleType and found.__name__.partition(".")[0] in _DEFINING


def is_as_written(cls: type, name: str) -> bool:
    """Tell whether a method is the one that the class or its base defines, and nothing put in its place."""
    return is_original(next(base for base in cls.__mro__ if name in vars(base)), name)


def is_original(owner: Any, name: str) -> bool:
    """Tell whether nothing was put in the place of a name of a module, or of one that a class itself defines."""
    return is_defined(vars(owner)[name], f"{owner.__qualname__}.{name}" if isinstance(owner, type) else name)
