//! An application of ours below ASGI: the engine is given the parsed head, and writes the response itself.

use std::sync::atomic::{AtomicU32, Ordering};

use http::RequestHead;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use super::exchange::{Exchange, Receive, Send};
use crate::connection::{Arrival, Channels, Server};
use crate::entrance::{Begun, Entrance};
use crate::entry::Selection;
use crate::response::Ready;
use crate::{ffi, names};

/// The entrance of an application of ours whose `__call__` does what is done here.
pub(super) struct DirectEntrance {
    application: Py<PyAny>,
    /// The version of its class in which `__call__` was found as it is written.
    version: AtomicU32,
}

impl DirectEntrance {
    /// The entrance of an application; none if it is not of ours, or does something before.
    ///
    /// # Errors
    /// Those of looking a class up.
    pub(super) fn of(application: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let entrance = Self { application: application.clone().unbind(), version: AtomicU32::new(0) };
        Ok(entrance.is_as_written(application.py())?.then_some(entrance))
    }

    fn is_as_written(&self, py: Python<'_>) -> PyResult<bool> {
        let application = self.application.bind(py);
        let version = ffi::type_version(&application.get_type());
        if version != 0 && version == self.version.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let is_as_written = names::is_called_as_written(py)?.call1((application,))?.is_truthy()?;
        if is_as_written {
            self.version.store(ffi::type_version(&application.get_type()), Ordering::Relaxed);
        }
        Ok(is_as_written)
    }

    /// Run a request to where it first waits, unless the application has to be called for it.
    ///
    /// # Errors
    /// What comes out of the request.
    pub(super) fn begin(&self, py: Python<'_>, exchange: &Py<Exchange>) -> PyResult<Begun> {
        if !self.is_as_written(py)? {
            return Ok(Begun::Refused);
        }
        let entrance = self.application.bind(py).getattr(intern!(py, "_entrance"))?;
        let Ok(entrance) = entrance.cast_exact::<Entrance>() else { return Ok(Begun::Refused) };
        entrance.get().begin(py, Channels::Direct { request: exchange.clone_ref(py).into_any(), server: &Exchanges })
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.application)
    }
}

/// What the engine asks of an exchange.
struct Exchanges;

fn exchange<'r>(request: &'r Bound<'_, PyAny>) -> PyResult<&'r Bound<'r, Exchange>> {
    Ok(request.cast_exact::<Exchange>()?)
}

impl Server for Exchanges {
    fn head<'r>(&self, request: &'r Bound<'_, PyAny>) -> PyResult<&'r RequestHead> {
        Ok(&exchange(request)?.get().head)
    }

    fn select(&self, request: &Bound<'_, PyAny>, selection: Selection) -> PyResult<()> {
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
