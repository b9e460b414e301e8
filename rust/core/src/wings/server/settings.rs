//! What the server says once for all of its connections, read when a connection is made.

use std::time::Duration;

use http::ResponseHead;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use pyo3::{PyTraverseError, PyVisit};

use super::direct::DirectEntrance;
use super::server_state::ServerState;
use crate::ffi::kept::Items;
use crate::ffi::locked::Locked;
use crate::names;

/// The longest time that is waited, in seconds: a year; clocks have no room for every number that a setting may be.
const LONGEST: f64 = 31_536_000.0;

/// A time that a setting gives in seconds; there is none below zero.
pub(super) fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST)).unwrap_or_default()
}

/// The server's configuration and state, as far as a connection looks at them.
pub(super) struct Settings {
    pub(super) config: Py<PyAny>,
    pub(super) server_state: ServerState,
    pub(super) application: Py<PyAny>,
    /// How the application is entered without being called, if it can be.
    pub(super) entrance: Option<DirectEntrance>,
    /// The hosts whose proxy headers are believed, if any is.
    pub(super) trusted_hosts: Option<Py<PyAny>>,
    pub(super) application_state: Py<PyAny>,
    pub(super) root_path: Py<PyString>,
    pub(super) asgi_version: Py<PyAny>,
    pub(super) connections: Py<PyAny>,
    pub(super) tasks: Py<PyAny>,
    /// Connections and tasks at which requests are answered 503.
    pub(super) limit_concurrency: Option<isize>,
    /// How long a connection may be idle between two requests.
    pub(super) keep_alive_time: Duration,
    /// Whether a request begins with an empty context.
    pub(super) resets_context: bool,
    pub(super) default_lines: Locked<Option<DefaultLines>>,
    pub(super) logger: Py<PyAny>,
    /// The access logger, if requests are logged.
    pub(super) access_logger: Option<Py<PyAny>>,
}

impl Settings {
    /// Read them from uvicorn's `Config` and `ServerState`.
    ///
    /// # Errors
    /// `AttributeError`: they are not what uvicorn's are.
    pub(super) fn read(
        config: &Bound<'_, PyAny>,
        server_state: &Bound<'_, PyAny>,
        application_state: Py<PyAny>,
    ) -> PyResult<Self> {
        let py = config.py();
        if !config.getattr(intern!(py, "loaded"))?.is_truthy()? {
            config.call_method0(intern!(py, "load"))?;
        }
        let get_logger = py.import(intern!(py, "logging"))?.getattr(intern!(py, "getLogger"))?;
        let access_logger = get_logger.call1((intern!(py, "uvicorn.access"),))?;
        let is_logged = access_logger.call_method0(intern!(py, "hasHandlers"))?.is_truthy()?;
        // A setting of newer versions of uvicorn, where it is off by default.
        let resets_context = config.getattr_opt(intern!(py, "reset_contextvars"))?;
        let root_path = config.getattr(intern!(py, "root_path"))?.cast_into::<PyString>()?;
        let (application, trusted_hosts): (Bound<'_, PyAny>, Option<Py<PyAny>>) =
            names::below_proxy_headers(py)?.call1((config.getattr(intern!(py, "loaded_app"))?,))?.extract()?;
        Ok(Self {
            // The path of a request is looked up as it is sent.
            entrance: if root_path.to_str()?.is_empty() { DirectEntrance::of(&application)? } else { None },
            application: application.unbind(),
            trusted_hosts,
            application_state,
            root_path: root_path.unbind(),
            asgi_version: config.getattr(intern!(py, "asgi_version"))?.unbind(),
            connections: server_state.getattr(intern!(py, "connections"))?.unbind(),
            tasks: server_state.getattr(intern!(py, "tasks"))?.unbind(),
            limit_concurrency: config.getattr(intern!(py, "limit_concurrency"))?.extract()?,
            keep_alive_time: time(config.getattr(intern!(py, "timeout_keep_alive"))?.extract()?),
            resets_context: resets_context.map_or(Ok(false), |setting| setting.is_truthy())?,
            logger: get_logger.call1((intern!(py, "uvicorn.error"),))?.unbind(),
            access_logger: is_logged.then(|| access_logger.unbind()),
            default_lines: Locked::default(),
            config: config.clone().unbind(),
            server_state: ServerState::of(server_state)?,
        })
    }

    /// Whether another request is one too many.
    pub(super) fn is_at_limit(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(limit) = self.limit_concurrency else { return Ok(false) };
        let is_reached = |count: usize| isize::try_from(count).is_ok_and(|count| count >= limit);
        Ok(is_reached(self.connections.bind(py).len()?) || is_reached(self.tasks.bind(py).len()?))
    }

    /// A copy of the application's state; none if nothing is in it.
    ///
    /// # Errors
    /// Whatever copying it raises.
    pub(super) fn copy_state(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let state = self.application_state.bind(py);
        Ok(match state.cast_exact::<PyDict>() {
            Ok(state) if state.is_empty() => None,
            Ok(state) => Some(state.copy()?.into_any().unbind()),
            Err(_) => Some(state.call_method0(intern!(py, "copy"))?.unbind()),
        })
    }

    /// Keep a task where the server looks for those that are not over.
    ///
    /// # Errors
    /// Whatever the task or the set of them raises.
    pub(super) fn keep_task(&self, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = task.py();
        let tasks = self.tasks.bind(py);
        task.call_method1(intern!(py, "add_done_callback"), (tasks.getattr(intern!(py, "discard"))?,))?;
        tasks.call_method1(intern!(py, "add"), (task,)).map(drop)
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.config)?;
        self.server_state.visit(visit)?;
        visit.call(&self.application)?;
        self.entrance.as_ref().map_or(Ok(()), |entrance| entrance.visit(visit))?;
        visit.call(&self.trusted_hosts)?;
        visit.call(&self.application_state)?;
        visit.call(&self.asgi_version)?;
        visit.call(&self.connections)?;
        visit.call(&self.tasks)?;
        self.default_lines.visit(visit, |known| known.as_ref().map_or(Ok(()), |known| known.visit(visit)))?;
        visit.call(&self.logger)?;
        visit.call(&self.access_logger)
    }
}

/// The default headers as they were written last; uvicorn has a new list of them each second.
pub(super) struct DefaultLines {
    headers: Items,
    lines: Vec<u8>,
}

impl DefaultLines {
    /// What was written of these headers; none if they say something of the body or the connection.
    pub(super) fn of(headers: &Bound<'_, PyList>, head: &ResponseHead<'_>) -> Option<Self> {
        Some(Self { lines: head.plain_lines()?.to_vec(), headers: Items::of(headers) })
    }

    /// Write them, if the headers are the same.
    pub(super) fn write(&self, headers: &Bound<'_, PyAny>, head: &mut ResponseHead<'_>) -> bool {
        let is_same = self.headers.is_of(headers) && self.headers.are_unchanged(headers.py());
        if is_same {
            head.lines(&self.lines);
        }
        is_same
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.headers.visit(visit)
    }
}
