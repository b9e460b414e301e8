//! Whether somebody is about to be cancelled, or was: from then on every message takes its turns of the event loop.

use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use super::{ResponseMessages, steps_of};
use crate::awaitable::is_cancelling;
use crate::names;
use crate::send::Pause;
use crate::wings::middleware::loop_turn::LoopTurn;
use crate::wings::middleware::running_task;

impl ResponseMessages {
    /// Whether the middleware function, or one around it, is about to be cancelled, or was, or whether the event loop
    /// was given something to do.
    pub(super) fn is_disturbed_now(&self, py: Python<'_>) -> PyResult<bool> {
        if self.is_disturbed() {
            return Ok(true);
        }
        if self.is_disturbed_outwards(py)? { self.disturb(py) } else { Ok(false) }
    }

    /// The same for a call that begins, before which the middleware function was asked.
    pub(super) fn is_begun_disturbed(&self, py: Python<'_>) -> PyResult<bool> {
        let is_known = self.is_disturbed() || self.state.with(py, |state| state.was_cancelling);
        if is_known || self.is_disturbed_around(py)? { self.disturb(py) } else { Ok(false) }
    }

    /// Ask this middleware function, then those around it, and the turn of the loop that the outermost has begun in.
    fn is_disturbed_outwards(&self, py: Python<'_>) -> PyResult<bool> {
        if self.is_disturbed() || self.is_host_cancelling(py)? {
            return Ok(true);
        }
        self.is_disturbed_around(py)
    }

    fn is_disturbed_around(&self, py: Python<'_>) -> PyResult<bool> {
        if let Some(turn) = &self.turn {
            return turn.is_wanted(py);
        }
        match self.surrounding(py) {
            Some(surrounding) => surrounding.bind(py).cast::<Self>()?.get().is_disturbed_outwards(py),
            None => Ok(false),
        }
    }

    /// Whether the middleware function, or one around it, is about to be cancelled.
    fn is_cancelling_around(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.is_host_cancelling(py)?
            || match self.surrounding(py) {
                Some(surrounding) => surrounding.bind(py).cast::<Self>()?.get().is_cancelling_around(py)?,
                None => false,
            })
    }

    /// Let every message from now on take its turns of the event loop: here, and further out.
    fn disturb(&self, py: Python<'_>) -> PyResult<bool> {
        if !self.disturbed.swap(true, Ordering::Relaxed) {
            if let Some(surrounding) = self.surrounding(py) {
                surrounding.bind(py).cast::<Self>()?.get().disturb(py)?;
            }
        }
        Ok(true)
    }

    /// Whether the event loop will call something before what is begun by hand goes on, besides timers.
    pub(super) fn is_loop_behind(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.is_cancelling_around(py)?
            || self.is_run_cancelling(py)?
            || self.with_turn(py, |turn| turn.has_more(py))?)
    }

    /// Look at the turn of the loop that the outermost middleware function around has begun in.
    pub(super) fn with_turn<R: Default>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&LoopTurn) -> PyResult<R>,
    ) -> PyResult<R> {
        if let Some(turn) = &self.turn {
            return look(turn);
        }
        match self.surrounding(py) {
            Some(surrounding) => surrounding.bind(py).cast::<Self>()?.get().with_turn(py, look),
            None => Ok(R::default()),
        }
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
        if is_cancelled { self.disturb(py) } else { Ok(false) }
    }

    /// Whether it is known that a cancellation of a call is on its way.
    fn is_run_to_be_cancelled(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.calls.iter().any(|call| call.get().is_to_be_cancelled(py)))
    }

    /// Whether a message waits for its turn.
    pub(super) fn is_late(&self, py: Python<'_>, pause: Pause) -> PyResult<bool> {
        Ok(match pause {
            Pause::Always => self.disturb(py)?,
            Pause::IfAnyIsCancelled => {
                self.is_escaping(py) || self.is_disturbed_now(py)? || self.is_run_cancelling(py)?
            }
            Pause::IfKnown => self.is_disturbed() || self.is_run_to_be_cancelled(py),
        })
    }
}

/// Let every message of the call that the running task is take its turns of the event loop, if it is such a call.
pub(in crate::wings::middleware) fn take_turns(py: Python<'_>) -> PyResult<()> {
    let event_loop = names::running_loop(py)?.call0()?;
    if event_loop.is_none() {
        // It is trio's.
        return Ok(());
    }
    let call = running_task::of(event_loop.as_any())?.as_ref().map_or(Ok(None), steps_of)?;
    match call.and_then(|call| call.get().caller(py)) {
        Some(messages) => messages.bind(py).cast::<ResponseMessages>()?.get().disturb(py).map(drop),
        None => Ok(()),
    }
}
