//! What telemetry is told of a request: an observer in Python, which is there only where somebody records the request.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::awaitable::exception;
use crate::names;
use crate::plan::{Plan, Render};

/// A `ferroapi.telemetry._observer.RequestObserver`.
pub(crate) struct Observer(pub(crate) Py<PyAny>);

/// Whether a scope says that somebody records its request.
#[inline]
pub(crate) fn is_observed(scope: &Bound<'_, PyDict>) -> PyResult<bool> {
    scope.contains(intern!(scope.py(), "fastapi.telemetry"))
}

/// Name the route that answers a scope, if somebody records its request; tell what [`is_observed`] does.
///
/// # Errors
/// Those of the recording span.
#[inline]
pub(crate) fn select(scope: &Bound<'_, PyDict>, path: Option<&Py<PyAny>>) -> PyResult<bool> {
    let Some(recorded) = scope.get_item(intern!(scope.py(), "fastapi.telemetry"))? else { return Ok(false) };
    if !recorded.is_none() {
        name_route(scope, path)?;
    }
    Ok(true)
}

#[cold]
fn name_route(scope: &Bound<'_, PyDict>, path: Option<&Py<PyAny>>) -> PyResult<()> {
    let py = scope.py();
    let arguments = PyDict::new(py);
    arguments.set_item(intern!(py, "scope"), scope)?;
    arguments.set_item(intern!(py, "path"), path)?;
    names::route_selected(py)?.call((), Some(&arguments)).map(drop)
}

impl Observer {
    /// The observer of the running request; none for a handler of the application's own, which has one where it calls
    /// the engine.
    ///
    /// # Errors
    /// Those of reading the context.
    #[cold]
    pub(crate) fn of(py: Python<'_>, plan: &Plan) -> PyResult<Option<Self>> {
        let may_be_recorded = || names::request_telemetry(py)?.getattr(intern!(py, "was_made"))?.is_truthy();
        if matches!(plan.answer.get().render, Render::Response { .. }) || !may_be_recorded()? {
            return Ok(None);
        }
        let observer = names::observe(py)?.call1((&plan.operation,))?;
        Ok((!observer.is_none()).then(|| Self(observer.unbind())))
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.clone_ref(py))
    }

    /// The body is read: the dependencies are solved next.
    pub(crate) fn solving(&self, py: Python<'_>, connection: &Py<PyAny>, body: Option<&Py<PyAny>>) -> PyResult<()> {
        self.0.call_method1(py, intern!(py, "solving"), (connection, body)).map(drop)
    }

    /// They are solved, into these values of the endpoint's arguments.
    pub(crate) fn solved(
        &self,
        py: Python<'_>,
        values: &Bound<'_, PyDict>,
        errors: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        self.0.call_method1(py, intern!(py, "solved"), (values, errors)).map(drop)
    }

    /// The awaitable of a coroutine function's call, observed.
    pub(crate) fn call(&self, py: Python<'_>, values: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        self.0.call_method1(py, intern!(py, "call"), (values,))
    }

    /// Call a plain endpoint, observed.
    pub(crate) fn call_plain(&self, py: Python<'_>, values: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        self.0.call_method1(py, intern!(py, "call_plain"), (values,))
    }

    /// What the endpoint has returned is serialized next.
    pub(crate) fn serializing(&self, py: Python<'_>) -> PyResult<()> {
        self.0.call_method0(py, intern!(py, "serializing")).map(drop)
    }

    /// It is.
    pub(crate) fn serialized(&self, py: Python<'_>) -> PyResult<()> {
        self.0.call_method0(py, intern!(py, "serialized")).map(drop)
    }

    /// The request has failed.
    pub(crate) fn failed(&self, py: Python<'_>, error: &PyErr, connection: Option<Py<PyAny>>) -> PyResult<()> {
        self.0.call_method1(py, intern!(py, "failed"), (exception(py, error), connection)).map(drop)
    }
}

/// Serialize what the endpoint returned, observed.
///
/// # Errors
/// Those of `serialize`, of which the observer is told where the request fails.
#[inline]
pub(crate) fn serialized<T>(
    py: Python<'_>,
    observer: Option<&Observer>,
    serialize: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    let Some(observer) = observer else { return serialize() };
    observer.serializing(py)?;
    let serialized = serialize()?;
    observer.serialized(py)?;
    Ok(serialized)
}
