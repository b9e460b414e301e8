//! The way from the server to the driver when nothing stands between them: no user middleware, and no telemetry of the
//! application's own.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use pyo3::{PyTraverseError, PyVisit};

use crate::awaitable::{Awaitable, begin};
use crate::connection::Channels;
use crate::drive::Driver;
use crate::error::guarded;
use crate::names;
use crate::observer::is_observed;
use crate::place::Place;
use crate::table::RouteTable;
use crate::witness::{Row, Witness};

/// The open entrance of one application; whoever changes what stands between has to take it away.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Entrance {
    table: Py<RouteTable>,
    application: Py<PyAny>,
    /// The layers of the middleware stack that is passed by.
    layers: Py<Witness>,
    /// Whether the entrance stands below the user's middleware: who observes the request is known there.
    is_inner: bool,
}

impl Entrance {
    /// Whether the application observes its requests.
    fn observes(&self, py: Python<'_>) -> PyResult<bool> {
        let telemetry = self.application.bind(py).getattr(intern!(py, "_native_telemetry"))?;
        telemetry.call_method0(intern!(py, "enabled"))?.is_truthy()
    }

    /// Whether nothing has to be looked at before the table, so that the driver may be the outermost code; if so, whether
    /// the request may be observed.
    fn is_open(&self, py: Python<'_>, scope: Option<&Bound<'_, PyDict>>) -> PyResult<Option<bool>> {
        if !self.table.get().is_current(py)? || self.layers.get().parts_replaced(py)? != 0 {
            return Ok(None);
        }
        let may_be_observed = is_opentelemetry_imported(py)?;
        if may_be_observed && !self.is_inner && self.observes(py)? && !scope.map_or(Ok(false), is_observed)? {
            return Ok(None);
        }
        Ok(Some(may_be_observed))
    }
}

#[pymethods]
impl Entrance {
    /// An entrance to `table`, the one of the application's own router, past `layers`.
    #[new]
    fn new(table: Py<RouteTable>, application: Py<PyAny>, layers: Py<Witness>, is_inner: bool) -> Self {
        Self { table, application, layers, is_inner }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.table)?;
        visit.call(&self.layers)?;
        visit.call(&self.application)
    }

    /// Whether no route has changed since the table was made.
    #[getter]
    fn is_current(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| self.table.get().is_current(py))
    }

    /// Run the request to where it first waits: `True` if it is over, else the driver of the rest, which is to be awaited.
    ///
    /// `False` says that the application must look end, and that nothing was run.
    fn serve(
        &self,
        py: Python<'_>,
        scope: &Bound<'_, PyAny>,
        receive: Py<PyAny>,
        send: Py<PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let Ok(scope) = scope.cast_exact::<PyDict>() else { return boolean(py, false) };
        if !guarded(|| is_of_type(scope, intern!(py, "http")))? {
            let session = unless_failed(py, guarded(|| self.session(py, scope, (receive, send))))?;
            return session.map_or_else(|| boolean(py, false), Ok);
        }
        let channels = Channels::Asgi { scope: scope.clone().unbind(), receive, send };
        match guarded(|| self.begin(py, channels))? {
            Begun::Refused => boolean(py, false),
            Begun::Over => boolean(py, true),
            Begun::Suspended(rest) => Ok(Py::new(py, rest)?.into_any()),
        }
    }
}

/// What has become of a request at the entrance.
pub(crate) enum Begun {
    /// The application must look end; nothing was run.
    Refused,
    /// It is answered.
    Over,
    /// This is to be awaited.
    Suspended(Awaitable),
}

impl Entrance {
    /// Run the request to where it first waits.
    ///
    /// # Errors
    /// What comes out of the request: its exception handlers have been asked.
    pub(crate) fn begin(&self, py: Python<'_>, channels: Channels) -> PyResult<Begun> {
        let driver = unless_failed(py, guarded(|| self.driver(py, channels)))?;
        let Some(driver) = driver else { return Ok(Begun::Refused) };
        Ok(begin(py, driver)?.map_or(Begun::Over, Begun::Suspended))
    }

    /// The driver of the request, if nothing has to be looked at before the table.
    fn driver(&self, py: Python<'_>, channels: Channels) -> PyResult<Option<Box<Driver>>> {
        let scope = match &channels {
            Channels::Asgi { scope, .. } => Some(scope.bind(py)),
            Channels::Direct { .. } => None,
        };
        let Some(may_be_observed) = self.is_open(py, scope)? else { return Ok(None) };
        self.table.get().driver(py, channels, (Some(&self.application), may_be_observed))
    }

    /// What runs a websocket, if nothing has to be looked at before the table.
    #[inline(never)]
    fn session(
        &self,
        py: Python<'_>,
        scope: &Bound<'_, PyDict>,
        (receive, send): (Py<PyAny>, Py<PyAny>),
    ) -> PyResult<Option<Py<PyAny>>> {
        if !is_of_type(scope, intern!(py, "websocket"))? || self.is_open(py, Some(scope))?.is_none() {
            return Ok(None);
        }
        let Some(plan) = self.table.get().websocket_plan(py, scope, Some(&self.application))? else { return Ok(None) };
        Ok(Some(names::run_connection(py)?.call1((plan, scope, receive, send, &self.application))?.unbind()))
    }
}

/// What was looked for; nothing if that has failed: the application meets the same error again, inside its middleware stack.
fn unless_failed<T>(py: Python<'_>, found: PyResult<Option<T>>) -> PyResult<Option<T>> {
    match found {
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
        found => found,
    }
}

/// Whether somebody has imported `opentelemetry`, which is looked up when `sys.modules` was modified.
fn is_opentelemetry_imported(py: Python<'_>) -> PyResult<bool> {
    static ABSENT: PyOnceLock<Py<Witness>> = PyOnceLock::new();
    let absent = ABSENT.get_or_try_init(py, || {
        let modules = py.import(intern!(py, "sys"))?.getattr(intern!(py, "modules"))?.cast_into()?;
        Py::new(py, Witness::of_rows(py, vec![Row::of(&modules, intern!(py, "opentelemetry"), None)?])?)
    })?;
    Ok(absent.get().parts_replaced(py)? != 0)
}

fn boolean(py: Python<'_>, value: bool) -> PyResult<Py<PyAny>> {
    Ok(value.into_pyobject(py)?.to_owned().into_any().unbind())
}

fn is_of_type(scope: &Bound<'_, PyDict>, wanted: &Bound<'_, PyString>) -> PyResult<bool> {
    static PLACE: Place = Place::new();
    let Some(kind) = PLACE.get(scope, intern!(scope.py(), "type"))? else { return Ok(false) };
    Ok(kind.is(wanted) || (kind.is_instance_of::<PyString>() && kind.eq(wanted)?))
}
