//! uvicorn's `ServerState`, as far as each request looks at it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use crate::ffi;
use crate::place::Place;

/// The state of the server, which all of its connections share.
pub(super) struct ServerState {
    pub(super) object: Py<PyAny>,
    /// The version of its class in which an instance keeps its attributes in its dict; 0 if it is not known to.
    version: u32,
}

impl ServerState {
    /// # Errors
    /// Those of looking at the class.
    pub(super) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (py, class) = (object.py(), object.get_type());
        let mut is_plain = true;
        for name in [intern!(py, "__getattribute__"), intern!(py, "__setattr__")] {
            is_plain &= class.getattr(name)?.is(&py.get_type::<PyAny>().getattr(name)?);
        }
        for name in [intern!(py, "default_headers"), intern!(py, "total_requests")] {
            is_plain &= !class.hasattr(name)?;
        }
        let version = if is_plain { ffi::type_version(&class) } else { 0 };
        Ok(Self { object: object.clone().unbind(), version })
    }

    /// The dict of its attributes, if nothing else has a say in them.
    #[inline]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let object = self.object.bind(py);
        if self.version == 0 || ffi::type_version(&object.get_type()) != self.version {
            return Ok(None);
        }
        Ok(ffi::instance_dict(object)?.cast_into().ok())
    }

    /// The headers that each response begins with.
    ///
    /// # Errors
    /// `AttributeError`: there are none.
    pub(super) fn default_headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static PLACE: Place = Place::new();
        let name = intern!(py, "default_headers");
        match self.attributes(py)?.map_or(Ok(None), |attributes| PLACE.get(&attributes, name))? {
            Some(headers) => Ok(headers),
            None => self.object.bind(py).getattr(name),
        }
    }

    /// Count a request that is answered.
    ///
    /// # Errors
    /// `AttributeError`: requests are not counted.
    pub(super) fn count_request(&self, py: Python<'_>) -> PyResult<()> {
        static PLACE: Place = Place::new();
        let (object, name) = (self.object.bind(py), intern!(py, "total_requests"));
        if let Some(attributes) = self.attributes(py)? {
            if let Some(total) = PLACE.get(&attributes, name)? {
                return attributes.set_item(name, total.add(1)?);
            }
        }
        object.setattr(name, object.getattr(name)?.add(1)?)
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.object)
    }
}
