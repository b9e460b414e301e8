"""A cancel scope put around what a task has already entered: made when it is needed, where AnyIO makes it before.

AnyIO has no public way to give a running task a scope around those it has entered, hence the private names.
"""

import asyncio
from contextlib import suppress
from importlib import import_module
from typing import Any
from weakref import ref

from ferroapi import _core

_backend: Any = None
_states: Any = None
_known: Any = None
"""What `_states` keeps them in."""
IS_KNOWN = False
"""Whether this version of AnyIO keeps its scopes as is assumed here; without it Starlette's own code runs."""

with suppress(ImportError, AttributeError):
    _backend = import_module("anyio._backends._asyncio")
    _states = _backend._task_states
    _known = _states.data
    _needed = ["_parent_scope", "_child_scopes", "_tasks", "_host_task", "_active", "_cancelling_at_enter"]
    _has_parts = all(hasattr(_backend.CancelScope(), name) for name in [*_needed, "_restart_cancellation_in_parent"])
    IS_KNOWN = _has_parts and {"parent_id", "cancel_scope"} <= set(_backend.TaskState.__slots__)

Task = asyncio.Task[Any]
Scope = Any
"""An `anyio.CancelScope` of the asyncio backend."""


def current_scope(task: Task) -> Scope | None:
    """Return the innermost scope that a task has entered."""
    # What `WeakKeyDictionary.get` does.
    state = _known.get(ref(task))
    return None if state is None else state.cancel_scope


def is_unscoped(task: Task) -> bool:
    """Tell whether a task has entered no scope, and is none that `adopt` may give one to later."""
    return not isinstance(task.get_coro(), _core.SteppedTask) and current_scope(task) is None


def adopt(task: Task, host: Task, since: Scope | None) -> Scope:
    """Put a scope around all that a task has entered or will enter, and return it.

    Its parent is the scope that `host` was in when it was in `since`.
    Source: AnyIO behaviour, `TaskGroup._spawn`.
    """
    scope = _backend.CancelScope()
    scope._host_task = host
    _insert(scope, task, _entered_since(task, None)[0], _entered_since(host, since)[1])
    if scope._parent_scope is not None:
        scope._restart_cancellation_in_parent()
    return scope


def follow(scope: Scope, host: Task, since: Scope | None) -> None:
    """Put a scope that `adopt` has made under the one that `host` has been put under after that."""
    parent, before = _entered_since(host, since)[1], scope._parent_scope
    if parent is not None and parent is not before:
        if before is not None:
            before._child_scopes.discard(scope)
        scope._parent_scope = parent
        parent._child_scopes.add(scope)


def surround(task: Task, since: Scope | None, cancelling: int) -> Scope:
    """Put a scope around all that a task has entered since it was in `since`, as if the task had entered it then.

    `cancelling` is what `Task.cancelling` said then. The task leaves the scope by `__exit__`.
    Source: AnyIO behaviour, `CancelScope.__enter__`.
    """
    scope = _backend.CancelScope()
    scope._host_task = task
    scope._active = True
    scope._cancelling_at_enter = cancelling
    outermost, parent = _entered_since(task, since)
    if outermost is None and parent is not None:
        parent._tasks.discard(task)
    _insert(scope, task, outermost, parent)
    return scope


def _entered_since(task: Task, since: Scope | None) -> tuple[Scope | None, Scope | None]:
    """Return the outermost scope that a task has entered since it was in `since`, and the scope around that."""
    outermost, scope = None, current_scope(task)
    while scope is not None and scope is not since and scope._host_task is task:
        outermost, scope = scope, scope._parent_scope
    return outermost, scope


def _insert(scope: Scope, task: Task, child: Scope | None, parent: Scope | None) -> None:
    scope._parent_scope = parent
    if child is not None:
        if parent is not None:
            parent._child_scopes.discard(child)
        child._parent_scope = scope
        scope._child_scopes.add(child)
    else:
        scope._tasks.add(task)
        if (state := _states.get(task)) is None:
            _states[task] = _backend.TaskState(parent_id=id(scope._host_task), cancel_scope=scope)
        else:
            state.cancel_scope = scope
    if parent is not None:
        parent._child_scopes.add(scope)


def release(task: Task, scope: Scope) -> None:
    """Take a scope away again when its task has ended."""
    scope._tasks.discard(task)
    _states.pop(task, None)
    if scope._parent_scope is not None:
        scope._parent_scope._child_scopes.discard(scope)
