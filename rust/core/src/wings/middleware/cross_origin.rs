//! What Starlette's `CORSMiddleware` adds to the start of a response, while its messages pass by.
//!
//! Source: `starlette.middleware.cors.CORSMiddleware.send`. Preflight requests are answered by the class itself.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::guarded;
use crate::names;
use crate::response::message_type;
use crate::scope::Scope;

/// The `send` of a request that came through a `CORSMiddleware`.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct CrossOriginSend {
    /// The middleware, whose settings are read when a response starts.
    layer: Py<PyAny>,
    scope: Py<PyDict>,
    origin: Option<Py<PyBytes>>,
    send: Py<PyAny>,
}

/// The `send` for what is downstream a `CORSMiddleware`, or `None` if the middleware itself must see the request.
#[pyfunction]
pub(crate) fn cross_origin(
    layer: Py<PyAny>,
    scope: &Bound<'_, PyAny>,
    send: Py<PyAny>,
) -> PyResult<Option<CrossOriginSend>> {
    guarded(|| send_through(layer, scope, send))
}

fn send_through(layer: Py<PyAny>, scope: &Bound<'_, PyAny>, send: Py<PyAny>) -> PyResult<Option<CrossOriginSend>> {
    let Ok(scope) = scope.cast_exact::<PyDict>() else { return Ok(None) };
    let py = scope.py();
    let view = Scope(scope);
    let is_list =
        scope.get_item(intern!(py, "headers"))?.is_some_and(|headers| headers.is_exact_instance_of::<PyList>());
    let Ok(origin) = view.header(b"origin") else { return Ok(None) };
    let is_options = match view.method() {
        Ok(Ok(Some(method))) => method == "OPTIONS",
        _ => return Ok(None),
    };
    let is_preflight = is_options && origin.is_some() && view.header(b"access-control-request-method")?.is_some();
    if !is_list || is_preflight {
        return Ok(None);
    }
    Ok(Some(CrossOriginSend { layer, scope: scope.clone().unbind(), origin: origin.map(Bound::unbind), send }))
}

#[pymethods]
impl CrossOriginSend {
    fn __call__<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| self.send(message))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.layer)?;
        visit.call(&self.scope)?;
        visit.call(&self.origin)?;
        visit.call(&self.send)
    }
}

impl CrossOriginSend {
    fn send<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = message.py();
        if let Ok(message) = message.cast_exact::<PyDict>() {
            if message_type(message)? == "http.response.start" {
                self.mark(message)?;
            }
            return self.send.bind(py).call1((message,));
        }
        let headers = PyDict::new(py);
        headers.set_item(intern!(py, "scope"), &self.scope)?;
        let headers = names::headers(py)?.call((), Some(&headers))?;
        self.layer.bind(py).call_method1(intern!(py, "send"), (message, &self.send, headers))
    }

    /// Put the headers of the middleware into the message that starts a response.
    fn mark(&self, message: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = message.py();
        let layer = self.layer.bind(py);
        let headers = match message.get_item(intern!(py, "headers"))? {
            Some(headers) => match headers.cast_exact::<PyList>() {
                Ok(list) => list.get_slice(0, list.len()),
                Err(_) => PyList::new(py, headers.try_iter()?.collect::<PyResult<Vec<_>>>()?)?,
            },
            None => PyList::empty(py),
        };
        message.set_item(intern!(py, "headers"), &headers)?;
        let Some(origin) = &self.origin else { return vary(&headers) };
        let origin = origin.bind(py);
        let simple = layer.getattr(intern!(py, "simple_headers"))?;
        if !simple.cast_exact::<PyDict>().is_ok_and(PyDictMethods::is_empty) {
            for item in simple.call_method0(intern!(py, "items"))?.try_iter()? {
                let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
                set(&headers, &encoded(&name.call_method0(intern!(py, "lower"))?)?, &encoded(&value)?)?;
            }
        }
        let is_explicit = if layer.getattr(intern!(py, "allow_all_origins"))?.is_truthy()? {
            layer.getattr(intern!(py, "allow_credentials"))?.is_truthy()?
        } else {
            is_allowed(layer, origin)?
        };
        if is_explicit {
            set(&headers, &PyBytes::new(py, b"access-control-allow-origin"), origin)?;
        }
        vary(&headers)
    }
}

/// Whether an origin is one of those that a middleware lists, or fits its pattern.
///
/// Source: `CORSMiddleware.is_allowed_origin`.
fn is_allowed(layer: &Bound<'_, PyAny>, origin: &Bound<'_, PyBytes>) -> PyResult<bool> {
    let py = layer.py();
    let origin = decoded(origin)?;
    let pattern = layer.getattr(intern!(py, "allow_origin_regex"))?;
    if !pattern.is_none() && pattern.call_method1(intern!(py, "fullmatch"), (&origin,))?.is_truthy()? {
        return Ok(true);
    }
    layer.getattr(intern!(py, "allow_origins"))?.contains(origin)
}

/// Add `Origin` to the values of `Vary`, as one header.
fn vary(headers: &Bound<'_, PyList>) -> PyResult<()> {
    static ALONE: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    let py = headers.py();
    let mut value = Vec::new();
    for header in headers {
        if is_named(&header, b"vary")? {
            value.extend_from_slice(header.get_item(1)?.cast::<PyBytes>()?.as_bytes());
            value.extend_from_slice(b", ");
        }
    }
    if value.is_empty() {
        let make = || PyTuple::new(py, [PyBytes::new(py, b"vary"), PyBytes::new(py, b"Origin")]).map(Bound::unbind);
        return headers.append(ALONE.get_or_try_init(py, make)?);
    }
    value.extend_from_slice(b"Origin");
    set(headers, &PyBytes::new(py, b"vary"), &PyBytes::new(py, &value))
}

/// Give a header one value, in the place of the first one of its name, or at the end.
///
/// Source: `starlette.datastructures.MutableHeaders.__setitem__`.
fn set(headers: &Bound<'_, PyList>, name: &Bound<'_, PyBytes>, value: &Bound<'_, PyBytes>) -> PyResult<()> {
    let mut first = None;
    for index in (0..headers.len()).rev() {
        if is_named(&headers.get_item(index)?, name.as_bytes())? {
            if let Some(later) = first.replace(index) {
                headers.del_item(later)?;
            }
        }
    }
    match first {
        Some(index) => headers.set_item(index, (name, value)),
        None => headers.append((name, value)),
    }
}

fn is_named(header: &Bound<'_, PyAny>, name: &[u8]) -> PyResult<bool> {
    let is_name = |key: &Bound<'_, PyAny>| key.cast::<PyBytes>().is_ok_and(|key| key.as_bytes() == name);
    match header.cast_exact::<PyTuple>().map(PyTupleMethods::as_slice) {
        Ok([key, ..]) => Ok(is_name(key)),
        _ => Ok(is_name(&header.get_item(0)?)),
    }
}

fn encoded<'py>(text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = text.py();
    match text.cast::<PyString>().map(|text| text.to_str()) {
        Ok(Ok(text)) if text.is_ascii() => Ok(PyBytes::new(py, text.as_bytes())),
        _ => Ok(text.call_method1(intern!(py, "encode"), (intern!(py, "latin-1"),))?.cast_into::<PyBytes>()?),
    }
}

fn decoded<'py>(bytes: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    let py = bytes.py();
    match std::str::from_utf8(bytes.as_bytes()) {
        Ok(text) if text.is_ascii() => Ok(PyString::new(py, text).into_any()),
        _ => bytes.call_method1(intern!(py, "decode"), (intern!(py, "latin-1"),)),
    }
}
