//! An application of ours below ASGI: the engine is given the parsed head, and writes the response itself.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use crate::connection::Channels;
use crate::entrance::{Begun, Entrance};
use crate::place::Place;
use crate::{ffi, names};

/// The entrance of an application of ours whose `__call__` does what is done here.
pub(super) struct DirectEntrance {
    application: Py<PyAny>,
    /// The version of its class in which `__call__` was found as it is written.
    version: AtomicU32,
    /// Where its attributes have the entrance.
    place: Place,
}

impl DirectEntrance {
    /// The entrance of an application; none if it is not of ours, or does something before.
    ///
    /// # Errors
    /// Those of looking a class up.
    pub(super) fn of(application: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let entrance =
            Self { application: application.clone().unbind(), version: AtomicU32::new(0), place: Place::new() };
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
    pub(super) fn begin(&self, py: Python<'_>, channels: Channels) -> PyResult<Begun> {
        if !self.is_as_written(py)? {
            return Ok(Begun::Refused);
        }
        let attributes = ffi::instance_dict(self.application.bind(py))?;
        let Some(entrance) = self.place.get(attributes.cast::<PyDict>()?, intern!(py, "_entrance"))? else {
            return Ok(Begun::Refused);
        };
        let Ok(entrance) = entrance.cast_exact::<Entrance>() else { return Ok(Begun::Refused) };
        entrance.get().begin(py, channels)
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.application)
    }
}
