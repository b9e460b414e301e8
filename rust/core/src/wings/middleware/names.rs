//! The Python objects that this wing needs.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::names::imported;

imported! {
    "ferroapi._middleware.downstream" {
        /// `(awaitable) -> coroutine`: for an awaitable that cannot be resumed itself.
        awaited,
        /// `(loop) -> task`: the one that runs.
        running_task,
    }
    "ferroapi._middleware.scopes" {
        /// `(task, host, parent)`: put a cancel scope around a task, inside that of another, and give it.
        adopt_task = "adopt",
        /// `(task, scope)`: take away the cancel scope around a task.
        release_scope = "release",
    }
    "ferroapi._middleware.loops" {
        /// `(loop) -> deque`: what it calls in its next turn, `None` if it does not let that be seen.
        ready_calls,
        /// `(loop) -> bool`: whether the time has come for a call; `None` if it does not let that be seen.
        has_due_timer,
    }
}
