//! The response that a middleware function got from below and returned: sent as it comes, message by message.
//!
//! Source: Starlette behaviour, `middleware.base._StreamingResponse.__call__` over the `body_stream` of `call_next`.

use pyo3::exceptions::PyAssertionError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use crate::awaitable::{Input, Outcome, close, resume, start, yielded};
use crate::error::Error;
use crate::ffi::Sent;
use crate::messages::{Messages, Taken, deliver, entry, has_more, next};
use crate::names;
use crate::respond::{message_type, part, start_of};

/// What a reply does next, or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing yet: the start is to be sent.
    Fresh,
    /// The next message is to be taken.
    Taking,
    /// Waits for the next message.
    Receiving,
    /// The empty message at the end is to be sent.
    Ending,
    /// All is sent.
    Finished,
}

/// A response on its way from `messages` to `send`: an awaitable.
#[pyclass(module = "ferroapi._core")]
pub(crate) struct Reply {
    messages: Py<Messages>,
    response: Py<PyAny>,
    send: Py<PyAny>,
    stage: Stage,
    awaiting: Option<Py<PyAny>>,
}

impl Reply {
    /// Run until something suspends, or all is sent.
    fn advance<'py>(&mut self, py: Python<'py>, input: Input<'py>) -> PyResult<Outcome<'py>> {
        let mut value = match (self.awaiting.take(), input) {
            (Some(awaiting), input) => match resume(awaiting.bind(py), input) {
                Ok(Sent::Yielded(object)) => {
                    self.awaiting = Some(awaiting);
                    return Ok(Outcome::Yielded(object));
                }
                Ok(Sent::Returned(value)) => Ok(value),
                Err(error) => Err(error),
            },
            (None, Input::Value(value)) if self.stage == Stage::Fresh => Ok(value),
            (None, Input::Error(error)) => Err(error),
            (None, Input::Value(_)) => return Err(Error::Resumed.into()),
        };
        loop {
            if let Err(error) = &value {
                if self.stage == Stage::Receiving && error.is_instance(py, names::end_of_stream(py)?) {
                    self.stage = Stage::Ending;
                    value = Ok(py.None().into_bound(py));
                }
            }
            if self.stage == Stage::Finished {
                return value.map(|_| Outcome::Returned(py.None()));
            }
            let awaitable = match value.and_then(|value| self.proceed(py, &value)) {
                Ok(awaitable) => awaitable,
                Err(error) => {
                    self.stage = Stage::Finished;
                    return Err(error);
                }
            };
            value = match awaitable.map(|awaitable| start(awaitable.into_bound(py))) {
                None => Ok(py.None().into_bound(py)),
                Some(Ok((Sent::Yielded(object), awaiting))) => {
                    self.awaiting = Some(awaiting.unbind());
                    return Ok(Outcome::Yielded(object));
                }
                Some(Ok((Sent::Returned(value), _))) => Ok(value),
                Some(Err(error)) => Err(error),
            };
        }
    }

    /// What has to be awaited next, if anything has.
    fn proceed(&mut self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        match self.stage {
            Stage::Fresh => {
                self.stage = Stage::Taking;
                self.start(py)
            }
            Stage::Taking => match next(self.messages.bind(py))? {
                Taken::Message(message) => self.pass(message.bind(py)),
                Taken::Nothing => {
                    self.stage = Stage::Receiving;
                    self.messages.call_method0(py, intern!(py, "receive")).map(Some)
                }
                Taken::Ended => self.end(py),
                Taken::Closed => Err(PyErr::from_value(names::closed_resource_error(py)?.call0()?)),
            },
            Stage::Receiving => self.pass(value),
            Stage::Ending => self.end(py),
            Stage::Finished => Err(Error::Resumed.into()),
        }
    }

    fn start(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        deliver(self.send.bind(py), start_of(self.response.bind(py))?.as_any())
    }

    /// Send a message from below on.
    fn pass(&mut self, message: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let py = message.py();
        let kind = message_type(message)?;
        if kind == "http.response.pathsend" {
            self.stage = Stage::Finished;
            return deliver(self.send.bind(py), message);
        }
        if kind != "http.response.body" {
            return Err(PyAssertionError::new_err(format!("Unexpected message: {}", message.str()?)));
        }
        self.stage = if has_more(message)? { Stage::Taking } else { Stage::Ending };
        match entry(message, intern!(py, "body"))? {
            Some(body) if body.is_truthy()? => self.send_body(&body, true),
            _ => Ok(None),
        }
    }

    fn end(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.stage = Stage::Finished;
        self.send_body(PyBytes::new(py, b"").as_any(), false)
    }

    fn send_body(&self, body: &Bound<'_, PyAny>, more: bool) -> PyResult<Option<Py<PyAny>>> {
        deliver(self.send.bind(body.py()), part(body, more)?.as_any())
    }
}

#[pymethods]
impl Reply {
    /// The sending of `response` to `send`, its body from `messages`.
    #[new]
    fn new(messages: Py<Messages>, response: Py<PyAny>, send: Py<PyAny>) -> Self {
        Self { messages, response, send, stage: Stage::Fresh, awaiting: None }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.messages)?;
        visit.call(&self.response)?;
        visit.call(&self.send)?;
        visit.call(&self.awaiting)
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self.advance(py, Input::Value(py.None().into_bound(py)))? {
            Outcome::Yielded(object) => Some(object),
            Outcome::Returned(_) => None,
        })
    }

    fn send<'py>(&mut self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.advance(py, Input::Value(value)).and_then(yielded)
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw<'py>(
        &mut self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        _traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let input = Input::thrown(kind, value)?;
        self.advance(py, input).and_then(yielded)
    }

    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        self.stage = Stage::Finished;
        self.awaiting.take().map_or(Ok(()), |awaiting| close(awaiting.bind(py)))
    }
}
