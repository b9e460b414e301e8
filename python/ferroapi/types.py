"""Small types shared by the whole package; the bottom of its import order."""

import types
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.main import IncEx as IncEx

DecoratedCallable = TypeVar("DecoratedCallable", bound=Callable[..., Any])
"""A function that a decorator registers and returns unchanged."""

UnionType = types.UnionType
"""The type of `X | Y`."""

ModelNameMap = dict[type[BaseModel] | type[Enum], str]
"""The name of each model or enum in the OpenAPI document."""

DependencyCacheKey = tuple[Callable[..., Any] | None, tuple[str, ...], str]
"""What makes two uses of a dependency one call: the callable, the OAuth scopes, the lifetime scope."""
