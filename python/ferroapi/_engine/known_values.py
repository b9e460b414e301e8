"""What is known of values and functions by their types alone."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from inspect import CO_GENERATOR
from types import FunctionType, MethodType
from typing import Any
from uuid import UUID

SCALARS = frozenset((type(None), bool, int, float, complex, str, bytes, Decimal, UUID, date, datetime, time, timedelta))
_COPIES = "__deepcopy__" if hasattr(Enum, "__deepcopy__") else "__reduce_ex__"


def is_immutable(value: Any) -> bool:
    """Whether a copy of a value is the value itself, which nobody can tell otherwise."""
    if isinstance(value, Enum):
        return getattr(type(value), _COPIES, None) is getattr(Enum, _COPIES)
    return type(value) in SCALARS


def is_generator_function(call: Any) -> bool:
    """Whether calling makes a generator, and runs nothing of it: a wrapper around such a function runs its own code."""
    while isinstance(call, partial):
        call = call.func
    if isinstance(call, MethodType):
        call = call.__func__
    elif not isinstance(call, FunctionType):
        call = type(call).__call__
    return isinstance(call, FunctionType) and bool(call.__code__.co_flags & CO_GENERATOR)
