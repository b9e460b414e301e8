//! The ASGI scope of a request, equal to that of uvicorn's `HttpToolsProtocol`, its keys in the same order.

use http::RequestHead;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::settings::Settings;
use crate::connection::method;

/// The addresses and the scheme of a connection.
pub(super) struct Peers<'py> {
    pub(super) server: Bound<'py, PyAny>,
    pub(super) client: Bound<'py, PyAny>,
    pub(super) scheme: Bound<'py, PyString>,
}

/// What the scopes of a connection have in common; what is `None` here is set for each request.
pub(super) fn template<'py>(py: Python<'py>, settings: &Settings, peers: &Peers<'py>) -> PyResult<Bound<'py, PyDict>> {
    let scope = PyDict::new(py);
    let none = py.None();
    scope.set_item(intern!(py, "type"), intern!(py, "http"))?;
    scope.set_item(intern!(py, "asgi"), &none)?;
    scope.set_item(intern!(py, "http_version"), intern!(py, "1.1"))?;
    scope.set_item(intern!(py, "server"), &peers.server)?;
    scope.set_item(intern!(py, "client"), &peers.client)?;
    scope.set_item(intern!(py, "scheme"), &peers.scheme)?;
    scope.set_item(intern!(py, "root_path"), &settings.root_path)?;
    for key in [
        intern!(py, "headers"),
        intern!(py, "state"),
        intern!(py, "method"),
        intern!(py, "path"),
        intern!(py, "raw_path"),
        intern!(py, "query_string"),
    ] {
        scope.set_item(key, &none)?;
    }
    Ok(scope)
}

/// The scope of one request; `state` is a copy of the application's, none if nothing was in it.
///
/// # Errors
/// `MemoryError`; whatever reading the addresses that a proxy has sent raises.
pub(super) fn request<'py>(
    template: &Bound<'py, PyDict>,
    settings: &Settings,
    head: &RequestHead,
    state: Option<&Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let py = template.py();
    let scope = template.copy()?;
    let asgi = PyDict::new(py);
    asgi.set_item(intern!(py, "version"), &settings.asgi_version)?;
    asgi.set_item(intern!(py, "spec_version"), intern!(py, "2.3"))?;
    scope.set_item(intern!(py, "asgi"), asgi)?;
    if head.facts.minor_version == 0 {
        scope.set_item(intern!(py, "http_version"), intern!(py, "1.0"))?;
    }
    scope.set_item(intern!(py, "headers"), headers(py, head)?)?;
    match state {
        Some(state) => scope.set_item(intern!(py, "state"), state)?,
        None => scope.set_item(intern!(py, "state"), PyDict::new(py))?,
    }
    scope.set_item(intern!(py, "method"), method(py, head.method()))?;
    let root_path = settings.root_path.bind(py).to_str()?;
    let raw_path = head.path();
    // The target is ASCII, so this is Python's `urllib.parse.unquote` of it.
    let path = wire::percent::unquote(raw_path);
    if root_path.is_empty() {
        scope.set_item(intern!(py, "path"), path.as_ref())?;
        scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, raw_path))?;
    } else {
        scope.set_item(intern!(py, "path"), format!("{root_path}{path}"))?;
        scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, &[root_path.as_bytes(), raw_path].concat()))?;
    }
    scope.set_item(intern!(py, "query_string"), PyBytes::new(py, head.query()))?;
    Ok(scope)
}

/// Pairs of bytes, the names in lower case.
fn headers<'py>(py: Python<'py>, head: &RequestHead) -> PyResult<Bound<'py, PyList>> {
    let headers = PyList::empty(py);
    for (name, value) in head.headers() {
        headers.append(PyTuple::new(py, [PyBytes::new(py, name), PyBytes::new(py, value)])?)?;
    }
    Ok(headers)
}
