//! Awaitables that have their result already: nothing is suspended, and no coroutine is made.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTraverseError, PyVisit};

use crate::awaitable::Input;
use crate::error::guarded;

/// An awaitable whose result is there; without a value the result is `None`.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Resolved {
    value: Option<Py<PyAny>>,
}

impl Resolved {
    /// The one awaitable of `None`.
    pub(super) fn nothing(py: Python<'_>) -> PyResult<Py<PyAny>> {
        static NOTHING: PyOnceLock<Py<Resolved>> = PyOnceLock::new();
        let ready = NOTHING.get_or_try_init(py, || Py::new(py, Self { value: None }))?;
        Ok(ready.clone_ref(py).into_any())
    }

    /// An awaitable of `value`.
    pub(super) fn with(py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Self { value: Some(value) })?.into_any())
    }
}

#[pymethods]
impl Resolved {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// `None` ends the iteration without an exception object.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        guarded(|| match &self.value {
            None => Ok(None),
            Some(value) => Err(PyStopIteration::new_err((value.clone_ref(py),))),
        })
    }

    fn send(&self, py: Python<'_>, _value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        guarded(|| Err(PyStopIteration::new_err((self.value.as_ref().map(|value| value.clone_ref(py)),))))
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    #[expect(clippy::unused_self, reason = "the interface of coroutines")]
    fn throw(
        &self,
        kind: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        guarded(|| match Input::thrown(kind, value)? {
            Input::Error(error) => Err(error),
            Input::Value(value) => Ok(value.unbind()),
        })
    }

    #[expect(clippy::unused_self, reason = "the interface of coroutines")]
    fn close(&self) {}

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.value)
    }
}
