//! What `receive` and `send` give to be awaited where something has to be waited for.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::state::{Exchange, HTTPProtocol};
use crate::awaitable::{Awaitable, Next, Run};

/// A call of `receive`, or of `send` with the message that waits for the client to read.
pub(super) struct Waiting {
    exchange: Py<Exchange>,
    message: Option<Py<PyAny>>,
    has_waited: bool,
}

impl Waiting {
    /// What a call is to return.
    pub(super) fn awaitable(py: Python<'_>, exchange: Py<Exchange>, message: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Awaitable::new(Self { exchange, message, has_waited: false }))?.into_any())
    }
}

impl Run for Waiting {
    /// Do what is to be done, or wait for the future before; what it gives is not looked at.
    fn proceed<'py>(&mut self, py: Python<'py>, _value: Bound<'py, PyAny>) -> PyResult<Next> {
        let exchange = self.exchange.get();
        let Some(message) = &self.message else {
            let received = match exchange.received(py)? {
                None if self.has_waited => exchange.nothing_more(py)?,
                Some(message) => message,
                None => {
                    self.has_waited = true;
                    return Ok(Next::Await(exchange.waiter(py)?));
                }
            };
            return Ok(Next::Done(received.into_any().unbind()));
        };
        if let Some(drained) = HTTPProtocol::drained(exchange.protocol.bind(py))? {
            return Ok(Next::Await(drained.unbind()));
        }
        exchange.deliver(py, message.bind(py))?;
        Ok(Next::Done(py.None()))
    }

    fn recover(&mut self, _py: Python<'_>, error: PyErr) -> PyResult<Next> {
        Err(error)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exchange)?;
        visit.call(&self.message)
    }
}
