//! A message on its way: taken in from its sender, and given to whoever wants the next one.

use pyo3::intern;
use pyo3::prelude::*;

use super::{Response, ResponseMessages, Sent, State, Taken, Waiting, Wanted, is_last, resolve};
use crate::names;
use crate::wings::middleware::stepped_task;

impl ResponseMessages {
    pub(super) fn future(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.event_loop.call_method0(py, intern!(py, "create_future"))
    }

    pub(super) fn take_in(&self, message: &Bound<'_, PyAny>, is_exact: bool) -> PyResult<Option<Py<PyAny>>> {
        let py = message.py();
        let (sent, not_taken) = self.state.with(py, |state| match state {
            State { response: Response::SentFirst, .. } => (Sent::Unneeded, None),
            State { sending_closed: true, .. } => (Sent::TooLate, None),
            State { response: Response::Sent, .. } => (Sent::Unneeded, None),
            state => match std::mem::take(&mut state.wanted) {
                Wanted::Nobody => (Sent::Early, None),
                wanted => (Sent::Wanted(wanted), state.message.replace(message.clone().unbind())),
            },
        });
        drop(not_taken);
        match sent {
            Sent::TooLate => return Err(PyErr::from_value(names::closed_resource_error(py)?.call0()?)),
            Sent::Unneeded => return Ok(None),
            Sent::Early => return self.keep(message, is_exact).map(Some),
            Sent::Wanted(Wanted::Future(future)) => {
                if !resolve(future.bind(py))? {
                    // Whoever waits is cancelled in this turn, and would not see it.
                    drop(self.state.with(py, |state| state.message.take()));
                    return self.keep(message, is_exact).map(Some);
                }
            }
            Sent::Wanted(_) => {}
        }
        if is_exact || !is_last(message)? {
            return Ok(None);
        }
        let turn = self.future(py)?;
        let waits = turn.clone_ref(py);
        self.state.with(py, |state| state.finals.push(waits));
        Ok(Some(turn))
    }

    /// Keep a message until somebody wants it: the future that its sender waits for.
    fn keep(&self, message: &Bound<'_, PyAny>, is_exact: bool) -> PyResult<Py<PyAny>> {
        let py = message.py();
        let (message, turn) = (message.clone().unbind(), self.future(py)?);
        let waits = turn.clone_ref(py);
        self.state.with(py, |state| state.waiting.push_back(Waiting { message, turn: waits, is_exact }));
        Ok(turn)
    }

    /// The next message, unless something has to be awaited before; `is_new` says that the middleware function has just
    /// given its response, and may have been cancelled.
    pub(crate) fn poll(&self, py: Python<'_>, is_new: bool) -> PyResult<Taken> {
        let is_interrupted =
            self.is_escaping(py) || if is_new { self.is_disturbed_now(py)? } else { self.is_disturbed() };
        if is_interrupted { Ok(Taken::Nothing) } else { self.next(py) }
    }

    /// The next message; steps are made until there is one.
    pub(super) fn next(&self, py: Python<'_>) -> PyResult<Taken> {
        if self.is_closed(py) {
            return Ok(Taken::Closed);
        }
        loop {
            let (message, first) = self.state.with(py, |state| match state.message.take() {
                None => (None, state.waiting.pop_front()),
                message => (message, None),
            });
            if let Some(message) = message {
                return Ok(Taken::Message(message));
            }
            if let Some(Waiting { message, turn, is_exact }) = first {
                // Its sender was cancelled while it waited.
                let is_cancelled = !is_exact && turn.bind(py).call_method0(intern!(py, "cancelled"))?.is_truthy()?;
                if is_cancelled {
                    continue;
                }
                if !is_exact && is_last(message.bind(py))? {
                    self.state.with(py, |state| state.finals.push(turn));
                } else {
                    resolve(turn.bind(py))?;
                }
                return Ok(Taken::Message(message));
            }
            let replaced = self.state.with(py, |state| {
                (!state.sending_closed).then(|| std::mem::replace(&mut state.wanted, Wanted::Stepper))
            });
            if replaced.is_none() {
                return Ok(Taken::Ended);
            }
            if !self.step(py)? {
                return Ok(Taken::Nothing);
            }
        }
    }

    /// Make a step of what is downstream if nothing is in the way; tell whether one was made.
    pub(super) fn step(&self, py: Python<'_>) -> PyResult<bool> {
        let mut index = 0;
        while let Some(call) = self.state.with(py, |state| state.calls.get(index).map(|call| call.clone_ref(py))) {
            if stepped_task::go_on(call.bind(py))? {
                return Ok(true);
            }
            index += 1;
        }
        Ok(false)
    }
}
