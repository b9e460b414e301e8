//! The response that a middleware function got from downstream and returned: sent as it comes, message by message.
//!
//! Source: Starlette behaviour, `middleware.base._StreamingResponse.__call__` over the `body_stream` of `call_next`.

use pyo3::exceptions::PyAssertionError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use super::response_messages::{ResponseMessages, Taken};
use crate::awaitable::{Awaitable, Next, Run};
use crate::error::Error;
use crate::names;
use crate::response::{message_type, part, start_of};
use crate::send::{Pause, deliver, entry, has_more};

/// What a reply does next, or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    /// Nothing yet: the start is to be sent.
    Fresh,
    /// The first message after the start is to be taken.
    TakingFirst,
    /// The next message is to be taken.
    Taking,
    /// Waits for the next message.
    Receiving,
    /// The empty message at the end is to be sent.
    Ending,
    /// All is sent.
    Finished,
}

/// A response on its way from `messages` to `send`.
struct PassedResponse {
    messages: Py<ResponseMessages>,
    response: Py<PyAny>,
    send: Py<PyAny>,
    stage: Passing,
}

impl PassedResponse {
    /// What has to be awaited next, if anything has.
    fn step(&mut self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        match self.stage {
            Passing::Fresh => {
                self.stage = Passing::TakingFirst;
                self.start(py)
            }
            Passing::TakingFirst | Passing::Taking => {
                match self.messages.get().poll(py, self.stage == Passing::TakingFirst)? {
                    Taken::Message(message) => self.pass(message.bind(py)),
                    Taken::Nothing => {
                        self.stage = Passing::Receiving;
                        self.messages.call_method0(py, intern!(py, "receive")).map(Some)
                    }
                    Taken::Ended => self.end(py),
                    Taken::Closed => Err(PyErr::from_value(names::closed_resource_error(py)?.call0()?)),
                }
            }
            Passing::Receiving => self.pass(value),
            Passing::Ending => self.end(py),
            Passing::Finished => Err(Error::Resumed.into()),
        }
    }

    fn start(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        deliver(self.send.bind(py), start_of(self.response.bind(py))?.as_any(), Pause::IfAnyIsCancelled)
    }

    /// Send a message from downstream on.
    fn pass(&mut self, message: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let py = message.py();
        let kind = message_type(message)?;
        if kind == "http.response.pathsend" {
            self.stage = Passing::Finished;
            return deliver(self.send.bind(py), message, Pause::IfKnown);
        }
        if kind != "http.response.body" {
            return Err(PyAssertionError::new_err(format!("Unexpected message: {}", message.str()?)));
        }
        self.stage = if has_more(message)? { Passing::Taking } else { Passing::Ending };
        match entry(message, intern!(py, "body"))? {
            Some(body) if body.is_truthy()? => self.send_body(&body, true),
            _ => Ok(None),
        }
    }

    fn end(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.stage = Passing::Finished;
        self.send_body(PyBytes::new(py, b"").as_any(), false)
    }

    fn send_body(&self, body: &Bound<'_, PyAny>, more: bool) -> PyResult<Option<Py<PyAny>>> {
        deliver(self.send.bind(body.py()), part(body, Some(more))?.as_any(), Pause::IfKnown)
    }
}

impl Run for PassedResponse {
    fn proceed<'py>(&mut self, py: Python<'py>, mut value: Bound<'py, PyAny>) -> PyResult<Next> {
        while self.stage != Passing::Finished {
            if let Some(awaitable) = self.step(py, &value)? {
                return Ok(Next::Await(awaitable));
            }
            value = py.None().into_bound(py);
        }
        Ok(Next::Done(py.None()))
    }

    fn recover(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Next> {
        if self.stage == Passing::Receiving && error.is_instance(py, names::end_of_stream(py)?) {
            self.stage = Passing::Ending;
            return self.proceed(py, py.None().into_bound(py));
        }
        Err(error)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.messages)?;
        visit.call(&self.response)?;
        visit.call(&self.send)
    }
}

/// The sending of `response` to `send`, its body from `messages`.
#[pyfunction]
pub(crate) fn pass_response_on(messages: Py<ResponseMessages>, response: Py<PyAny>, send: Py<PyAny>) -> Awaitable {
    Awaitable::new(PassedResponse { messages, response, send, stage: Passing::Fresh })
}
