//! What of an exchange is given to an application, its `receive` and `send`, or to the engine, which looks at it directly.

use std::sync::atomic::Ordering;

use http::RequestHead;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use super::resolved::Resolved;
use super::state::Exchange;
use super::waiting::Waiting;
use crate::connection::{Arrival, Server};
use crate::entry::Selection;
use crate::error::guarded;
use crate::response::Ready;
use crate::scope::Unusual;

/// The `receive` of one request.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Receive {
    pub(super) exchange: Py<Exchange>,
}

#[pymethods]
impl Receive {
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.exchange.get().received(py)? {
            Some(message) => Resolved::with(py, message.into_any().unbind()),
            None => Waiting::awaitable(py, self.exchange.clone_ref(py), None),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exchange)
    }
}

/// The `send` of one request.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Send {
    pub(super) exchange: Py<Exchange>,
}

#[pymethods]
impl Send {
    fn __call__(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let exchange = self.exchange.get();
            if exchange.protocol.get().is_write_paused() && !exchange.is_disconnected.load(Ordering::Relaxed) {
                return Waiting::awaitable(py, self.exchange.clone_ref(py), Some(message.clone().unbind()));
            }
            exchange.deliver(py, message)?;
            Resolved::nothing(py)
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exchange)
    }
}

/// What the engine asks of an exchange.
pub(super) struct Exchanges;

fn exchange<'r>(request: &'r Bound<'_, PyAny>) -> PyResult<&'r Bound<'r, Exchange>> {
    Ok(request.cast_exact::<Exchange>()?)
}

impl Server for Exchanges {
    fn head<'r>(&self, request: &'r Bound<'_, PyAny>) -> PyResult<&'r RequestHead> {
        Ok(&exchange(request)?.get().head)
    }

    fn select(&self, request: &Bound<'_, PyAny>, selection: Selection) -> PyResult<Result<(), Unusual>> {
        exchange(request)?.get().select(request.py(), selection)
    }

    fn scope<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        exchange(request)?.get().scope(request.py())
    }

    fn receive<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let exchange = request.cast_exact::<Exchange>()?.clone().unbind();
        Ok(Bound::new(request.py(), Receive { exchange })?.into_any())
    }

    fn send<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let exchange = request.cast_exact::<Exchange>()?.clone().unbind();
        Ok(Bound::new(request.py(), Send { exchange })?.into_any())
    }

    fn arrived<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Arrival<'py>> {
        exchange(request)?.get().arrived(request.py())
    }

    fn watch(&self, request: &Bound<'_, PyAny>) -> PyResult<()> {
        exchange(request)?.get().watch(request.py())
    }

    fn unwatch(&self, request: &Bound<'_, PyAny>) -> PyResult<bool> {
        exchange(request)?.get().unwatch(request.py())
    }

    fn write(&self, request: &Bound<'_, PyAny>, response: &Ready) -> PyResult<bool> {
        exchange(request)?.get().write(request.py(), response)
    }
}
