//! What writes the JSON of a response model in pydantic's place, if something does (`wings/models`).

use std::fmt::Debug;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use crate::error::guarded;

/// What an endpoint's result was found to be.
pub(crate) enum Serialized {
    /// Its JSON.
    Done(Vec<u8>),
    /// Something that must be validated first.
    Unvalidated,
    /// Something that only pydantic writes.
    NotPlain,
}

/// The validation and the JSON of one response model.
pub(crate) trait SerializeModel: Debug + Send + Sync + 'static {
    /// Validate and write what the endpoint returned, where validation returns it as it is.
    fn receive(&self, value: &Bound<'_, PyAny>) -> Serialized;

    /// Write a value that was validated; `None` leaves it to pydantic.
    fn write(&self, value: &Bound<'_, PyAny>) -> Option<Vec<u8>>;

    /// Show what it holds to Python's garbage collector.
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

/// The serializer of one response model.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct ModelSerializer(Box<dyn SerializeModel>);

impl ModelSerializer {
    pub(crate) fn new(model: impl SerializeModel) -> Self {
        Self(Box::new(model))
    }

    pub(crate) fn receive(&self, value: &Bound<'_, PyAny>) -> Serialized {
        self.0.receive(value)
    }

    pub(crate) fn write(&self, value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
        self.0.write(value)
    }
}

#[pymethods]
impl ModelSerializer {
    /// The JSON of an endpoint's result that needs no pydantic, or `None`.
    #[pyo3(name = "receive")]
    fn receive_bytes<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        guarded(|| match self.receive(value) {
            Serialized::Done(text) => Ok(Some(PyBytes::new(value.py(), &text))),
            Serialized::Unvalidated | Serialized::NotPlain => Ok(None),
        })
    }

    /// The JSON of a validated value that needs no pydantic, or `None`.
    #[pyo3(name = "write")]
    fn write_bytes<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        guarded(|| Ok(self.write(value).map(|text| PyBytes::new(value.py(), &text))))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.visit(&visit)
    }
}
