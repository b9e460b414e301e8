//! Whether somebody is about to be cancelled, or was: from then on every message takes its turns of the event loop.

use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use super::ResponseMessages;
use crate::awaitable::is_cancelling;
use crate::send::Pause;

impl ResponseMessages {
    /// Whether the middleware function, or one around it, is about to be cancelled, or was.
    pub(super) fn is_disturbed(&self, py: Python<'_>) -> PyResult<bool> {
        if self.disturbed.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let is_disturbed = self.is_host_cancelling(py)?
            || match self.surrounding(py) {
                Some(surrounding) => surrounding.bind(py).cast::<Self>()?.get().is_disturbed(py)?,
                None => false,
            };
        self.disturbed.fetch_or(is_disturbed, Ordering::Relaxed);
        Ok(is_disturbed)
    }

    /// The messages of the middleware function around this one.
    fn surrounding(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.outer.as_ref().and_then(|outer| outer.get().caller(py))
    }

    /// Whether the middleware function is about to be cancelled.
    pub(super) fn is_host_cancelling(&self, py: Python<'_>) -> PyResult<bool> {
        let is_known = self.outer.as_ref().is_some_and(|outer| outer.get().is_to_be_cancelled(py));
        Ok(is_known || is_cancelling(self.host.bind(py))?)
    }

    /// Whether a call of what is downstream is about to be cancelled.
    fn is_run_cancelling(&self, py: Python<'_>) -> PyResult<bool> {
        let mut is_cancelled = self.is_run_to_be_cancelled(py);
        let mut index = 0;
        while let (false, Some(task)) =
            (is_cancelled, self.state.with(py, |state| state.calls.get(index).map(|call| call.get().task(py))))
        {
            is_cancelled = task.map_or(Ok(false), |task| is_cancelling(task.bind(py)))?;
            index += 1;
        }
        self.disturbed.fetch_or(is_cancelled, Ordering::Relaxed);
        Ok(is_cancelled)
    }

    /// Whether it is known that a cancellation of a call is on its way.
    fn is_run_to_be_cancelled(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.calls.iter().any(|call| call.get().is_to_be_cancelled(py)))
    }

    /// Whether a message waits for its turn.
    pub(super) fn is_late(&self, py: Python<'_>, pause: Pause) -> PyResult<bool> {
        Ok(match pause {
            Pause::Always => true,
            Pause::IfAnyIsCancelled => self.is_escaping(py) || self.is_disturbed(py)? || self.is_run_cancelling(py)?,
            Pause::IfKnown => self.disturbed.load(Ordering::Relaxed) || self.is_run_to_be_cancelled(py),
        })
    }
}
