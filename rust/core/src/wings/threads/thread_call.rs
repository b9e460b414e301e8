//! One call, as the event loop's thread and the worker share it: who waits for it, and how its end is told.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::error::Error;

/// Who waits for a call.
pub(super) enum CallState {
    /// The event loop's thread, in place.
    Watched,
    /// A task, by way of the event loop.
    Awaited(Report),
    /// It is over, and this is the outcome.
    Done(PyResult<Py<PyAny>>),
    /// The outcome has been taken.
    Taken,
}

/// Where a worker thread tells the event loop the outcome of a call.
pub(super) struct Report {
    /// `loop.call_soon_threadsafe`.
    pub(super) schedule: Py<PyAny>,
    /// The worker's `_report_result`, which makes it available again and settles the future.
    pub(super) settle: Py<PyAny>,
    pub(super) future: Py<PyAny>,
}

/// One call, as the two threads share it.
pub(super) struct ThreadCall {
    pub(super) state: Mutex<CallState>,
    pub(super) done: Condvar,
}

impl ThreadCall {
    pub(super) fn new(state: CallState) -> Self {
        Self { state: Mutex::new(state), done: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Put down the outcome for a thread that watches; it comes back with the report that a task needs instead.
    pub(super) fn finish(&self, outcome: PyResult<Py<PyAny>>) -> Option<(Report, PyResult<Py<PyAny>>)> {
        let mut state = self.lock();
        if let CallState::Awaited(report) = std::mem::replace(&mut *state, CallState::Taken) {
            return Some((report, outcome));
        }
        *state = CallState::Done(outcome);
        None
    }

    /// Wait in place, so long at most; without the interpreter's lock.
    pub(super) fn watch(&self, patience: Duration) {
        let waiting = |state: &mut CallState| matches!(state, CallState::Watched);
        drop(self.done.wait_timeout_while(self.lock(), patience, waiting));
    }

    /// Wait in place until it is over; without the interpreter's lock.
    pub(super) fn watch_to_end(&self) {
        while self.is_watched() {
            self.watch(Duration::MAX);
        }
    }

    /// The outcome of a call that is over.
    ///
    /// # Errors
    /// Whatever the call has raised.
    pub(super) fn take_outcome(&self) -> PyResult<Py<PyAny>> {
        match std::mem::replace(&mut *self.lock(), CallState::Taken) {
            CallState::Done(outcome) => outcome,
            _ => Err(Error::Resumed.into()),
        }
    }

    /// Whether the call is under way, and nobody is to be told of its end.
    pub(super) fn is_watched(&self) -> bool {
        matches!(*self.lock(), CallState::Watched)
    }

    /// Have the event loop told of the end of a call; false if it is over already.
    pub(super) fn report_to(&self, report: Report) -> bool {
        let mut state = self.lock();
        let is_under_way = matches!(*state, CallState::Watched);
        if is_under_way {
            *state = CallState::Awaited(report);
        }
        is_under_way
    }
}

impl Report {
    pub(super) fn send(&self, py: Python<'_>, outcome: PyResult<Py<PyAny>>) -> PyResult<()> {
        let (result, error) = match outcome {
            Ok(result) => (result, py.None()),
            Err(error) => (py.None(), error.into_value(py).into_any()),
        };
        match self.schedule.call1(py, (&self.settle, &self.future, result, error)) {
            // Nobody is left to be told.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) && self.is_loop_closed(py)? => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    fn is_loop_closed(&self, py: Python<'_>) -> PyResult<bool> {
        let event_loop = self.future.call_method0(py, intern!(py, "get_loop"))?;
        event_loop.call_method0(py, intern!(py, "is_closed"))?.is_truthy(py)
    }
}
