//! The awaitables of `receive` and `send` where something has to be waited for.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::exchange::Exchange;
use crate::awaitable::{Input, close, iterator, resume};
use crate::error::{Error, guarded};
use crate::ffi::Sent;
use crate::locked::Locked;

/// A call of `receive`, or of `send` with the message that waits for the client to read.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Waiting {
    exchange: Py<Exchange>,
    message: Option<Py<PyAny>>,
    /// The iterator of the future that is awaited now.
    awaited: Locked<Option<Py<PyAny>>>,
}

impl Waiting {
    pub(super) fn to_receive(py: Python<'_>, exchange: Py<Exchange>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Self { exchange, message: None, awaited: Locked::new(None) })?.into_any())
    }

    pub(super) fn to_send(py: Python<'_>, exchange: Py<Exchange>, message: Py<PyAny>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Self { exchange, message: Some(message), awaited: Locked::new(None) })?.into_any())
    }

    fn take(&self) -> Option<Py<PyAny>> {
        self.awaited.replace(None)
    }

    /// Go on to where the next future is awaited: the object to yield, or the result.
    fn advance<'py>(&self, py: Python<'py>, mut input: Input<'py>) -> PyResult<Sent<'py>> {
        loop {
            let awaited = if let Some(awaited) = self.take() {
                awaited.into_bound(py)
            } else {
                if let Input::Error(error) = input {
                    return Err(error);
                }
                match self.attempt(py)? {
                    Ok(result) => return Ok(Sent::Returned(result)),
                    Err(future) => iterator(future)?,
                }
            };
            match resume(&awaited, input)? {
                Sent::Yielded(object) => {
                    drop(self.awaited.replace(Some(awaited.unbind())));
                    return Ok(Sent::Yielded(object));
                }
                Sent::Returned(_) => input = Input::Value(py.None().into_bound(py)),
            }
        }
    }

    /// Do what is to be done, or return the future that has to be awaited before.
    fn attempt<'py>(&self, py: Python<'py>) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>> {
        let exchange = self.exchange.get();
        let Some(message) = &self.message else {
            return Ok(match exchange.received(py)? {
                Some(message) => Ok(message.into_any()),
                None => Err(exchange.waiter(py)?.into_bound(py)),
            });
        };
        if let Some(drained) = super::HTTPProtocol::drained(exchange.protocol.bind(py))? {
            return Ok(Err(drained));
        }
        exchange.deliver(py, message.bind(py))?;
        Ok(Ok(py.None().into_bound(py)))
    }
}

#[pymethods]
impl Waiting {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.send(py, py.None().into_bound(py))
    }

    fn send<'py>(&self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| match self.advance(py, Input::Value(value))? {
            Sent::Yielded(object) => Ok(object),
            Sent::Returned(value) => Err(PyStopIteration::new_err((value.unbind(),))),
        })
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        _traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| match self.advance(py, Input::thrown(kind, value)?)? {
            Sent::Yielded(object) => Ok(object),
            Sent::Returned(_) => Err(Error::Resumed.into()),
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        guarded(|| self.take().map_or(Ok(()), |awaited| close(awaited.bind(py))))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exchange)?;
        visit.call(&self.message)?;
        self.awaited.visit(|awaited| visit.call(awaited))
    }
}
