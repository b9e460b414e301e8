//! The application's messages, as bytes of the response.
//!
//! Source: uvicorn, `RequestResponseCycle.send`: the order of checks, their exceptions, and what is logged.

use std::sync::atomic::Ordering;

use http::{Answer, RequestFacts, ResponseHead};
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::exchange::Exchange;
use super::settings::Settings;

/// The status lines from 100 to 599, with the phrases of this Python.
fn status_line(py: Python<'_>, status: u16) -> PyResult<&[u8]> {
    static LINES: PyOnceLock<Vec<Vec<u8>>> = PyOnceLock::new();
    let lines = LINES.get_or_try_init(py, || {
        let statuses = py.import("http")?.getattr("HTTPStatus")?;
        let phrase = |status: u16| -> PyResult<String> {
            statuses.call1((status,)).map_or(Ok(String::new()), |known| known.getattr("phrase")?.extract())
        };
        (100..600)
            .map(|status| Ok(format!("HTTP/1.1 {status} {}\r\n", phrase(status)?).into_bytes()))
            .collect::<PyResult<_>>()
    })?;
    let line = status.checked_sub(100).and_then(|index| lines.get(usize::from(index)));
    line.map(Vec::as_slice).ok_or_else(|| PyKeyError::new_err(status))
}

/// Write the head that a message of type `http.response.start` means to `out`.
///
/// # Errors
/// `RuntimeError`: another message, or a header that must not be written; nothing is written then.
pub(super) fn start(
    exchange: &Exchange,
    settings: &Settings,
    message: &Bound<'_, PyDict>,
    request: RequestFacts,
    out: &mut Vec<u8>,
) -> PyResult<Answer> {
    let py = message.py();
    let kind = kind(message)?;
    if kind != "http.response.start" {
        return Err(PyRuntimeError::new_err(format!("Expected ASGI message 'http.response.start', but got '{kind}'.")));
    }
    exchange.has_started.store(true, Ordering::Relaxed);
    let status = message.get_item(intern!(py, "status"))?.ok_or(PyKeyError::new_err("status"))?.extract::<u16>()?;
    let headers = match message.get_item(intern!(py, "headers"))? {
        Some(headers) => as_list(&headers)?,
        None => PyList::empty(py),
    };
    if let Some(logger) = &settings.access_logger {
        crate::names::log_access(py)?.call1((logger, &exchange.scope, status))?;
    }
    let mut head = ResponseHead::new(out, status_line(py, status)?);
    let defaults = settings.server_state.bind(py).getattr(intern!(py, "default_headers"))?;
    for header in as_list(&defaults)?.iter().chain(headers.iter()) {
        write_header(&mut head, &header)?;
    }
    Ok(head.finish(status, request))
}

/// Write the part of the body that a message of type `http.response.body` means; tell whether it was the last one.
///
/// # Errors
/// `RuntimeError`: another message, or a body that is longer or shorter than the head says.
pub(super) fn body(answer: &mut Answer, message: &Bound<'_, PyDict>, out: &mut Vec<u8>) -> PyResult<bool> {
    let py = message.py();
    let kind = kind(message)?;
    if kind != "http.response.body" {
        return Err(PyRuntimeError::new_err(format!("Expected ASGI message 'http.response.body', but got '{kind}'.")));
    }
    let more = message.get_item(intern!(py, "more_body"))?.map_or(Ok(false), |more| more.is_truthy())?;
    let body = message.get_item(intern!(py, "body"))?;
    let copy;
    let part = match &body {
        None => &b""[..],
        Some(body) => {
            copy = body.cast::<PyBytes>().map_or_else(|_| crate::names::bytes_of(body), |body| Ok(body.clone()))?;
            copy.as_bytes()
        }
    };
    let written = answer.write(out, part, !more);
    written.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok(!more)
}

/// The type of an ASGI message.
pub(super) fn kind<'py>(message: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyString>> {
    let kind = message.get_item(intern!(message.py(), "type"))?.ok_or(PyKeyError::new_err("type"))?;
    kind.cast_into::<PyString>().or_else(|kind| kind.into_inner().str())
}

fn as_list<'py>(headers: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    match headers.cast_exact::<PyList>() {
        Ok(list) => Ok(list.clone()),
        Err(_) => PyList::new(headers.py(), headers.try_iter()?.collect::<PyResult<Vec<_>>>()?),
    }
}

fn write_header(head: &mut ResponseHead<'_>, header: &Bound<'_, PyAny>) -> PyResult<()> {
    let written = match header.cast_exact::<PyTuple>().map(PyTupleMethods::as_slice) {
        Ok([name, value]) if name.is_instance_of::<PyBytes>() && value.is_instance_of::<PyBytes>() => {
            head.header(name.cast::<PyBytes>()?.as_bytes(), value.cast::<PyBytes>()?.as_bytes())
        }
        _ => {
            let (name, value) = (header.get_item(0)?, header.get_item(1)?);
            let (name, value) = (crate::names::bytes_of(&name)?, crate::names::bytes_of(&value)?);
            head.header(name.as_bytes(), value.as_bytes())
        }
    };
    written.map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
