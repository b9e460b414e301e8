"""The cancel scope that AnyIO's task group would put around a task, made when the task turns out to wait.

AnyIO has no public way to give a running task a scope around those it has entered, hence the private names.
"""

import asyncio
from contextlib import suppress
from importlib import import_module
from typing import Any

_backend: Any = None
_states: Any = None
IS_KNOWN = False
"""Whether this version of AnyIO keeps its scopes as is assumed here; without it Starlette's own code runs."""

with suppress(ImportError, AttributeError):
    _backend = import_module("anyio._backends._asyncio")
    _states = _backend._task_states
    _needed = ("_parent_scope", "_child_scopes", "_tasks", "_host_task", "_restart_cancellation_in_parent")
    _has_parts = all(hasattr(_backend.CancelScope(), name) for name in _needed)
    IS_KNOWN = _has_parts and {"parent_id", "cancel_scope"} <= set(_backend.TaskState.__slots__)

Scope = Any
"""An `anyio.CancelScope` of the asyncio backend."""


def current_scope(task: "asyncio.Task[Any]") -> Scope | None:
    """Return the innermost scope that a task has entered."""
    state = _states.get(task)
    return None if state is None else state.cancel_scope


def adopt(task: "asyncio.Task[Any]", host: "asyncio.Task[Any]", parent: Scope | None) -> Scope:
    """Put a scope around all that a task has entered or will enter, inside `parent`, and return it.

    Source: AnyIO behaviour, `TaskGroup._spawn` of a group that `host` entered under `parent`.
    """
    scope = _backend.CancelScope()
    scope._host_task = host
    scope._parent_scope = parent
    state = _states.get(task)
    outermost = None if state is None else state.cancel_scope
    if outermost is None:
        _states[task] = _backend.TaskState(parent_id=id(host), cancel_scope=scope)
        scope._tasks.add(task)
    else:
        while outermost._parent_scope is not None:
            outermost = outermost._parent_scope
        outermost._parent_scope = scope
        scope._child_scopes.add(outermost)
    if parent is not None:
        parent._child_scopes.add(scope)
        scope._restart_cancellation_in_parent()
    return scope


def release(task: "asyncio.Task[Any]", scope: Scope) -> None:
    """Take a scope away again when its task has ended."""
    scope._tasks.discard(task)
    _states.pop(task, None)
    if scope._parent_scope is not None:
        scope._parent_scope._child_scopes.discard(scope)
