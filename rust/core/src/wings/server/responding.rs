//! The application's messages, as bytes of the response.
//!
//! Source: uvicorn, `RequestResponseCycle.send`: the order of checks, their exceptions, and what is logged.

use std::sync::atomic::Ordering;

use http::{Answer, ResponseHead};
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::exchange::Exchange;
use crate::ffi::kept::Items;
use crate::names;
use crate::response::{Headers, Ready};

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
pub(super) fn start(exchange: &Exchange, message: &Bound<'_, PyDict>, out: &mut Vec<u8>) -> PyResult<Answer> {
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
    write_head(exchange, py, status, out, |head| headers.iter().try_for_each(|header| write_header(head, &header)))
}

/// Write the head of a whole response, whose body has `size` bytes.
///
/// # Errors
/// The same.
pub(super) fn start_ready(
    exchange: &Exchange,
    py: Python<'_>,
    ready: &Ready,
    size: usize,
    out: &mut Vec<u8>,
) -> PyResult<Answer> {
    exchange.has_started.store(true, Ordering::Relaxed);
    let status = ready.status.extract::<u16>(py)?;
    write_head(exchange, py, status, out, |head| match &ready.headers {
        Headers::Usual(content_type) => {
            head.length(size);
            match &content_type.line {
                Some(line) => {
                    head.lines(line);
                    Ok(())
                }
                None => write_header(head, content_type.pair.bind(py).as_any()),
            }
        }
        Headers::Given(headers) => as_list(headers.bind(py))?.iter().try_for_each(|header| write_header(head, &header)),
    })
}

fn write_head(
    exchange: &Exchange,
    py: Python<'_>,
    status: u16,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut ResponseHead<'_>) -> PyResult<()>,
) -> PyResult<Answer> {
    let settings = &exchange.protocol.get().settings;
    if let Some(logger) = &settings.access_logger {
        names::log_access(py)?.call1((logger, exchange.scope(py)?, status))?;
    }
    let mut head = ResponseHead::new(out, status_line(py, status)?);
    let defaults = settings.server_state.bind(py).getattr(intern!(py, "default_headers"))?;
    if !settings.default_lines.with(|known| known.as_ref().is_some_and(|known| known.write(&defaults, &mut head))) {
        let defaults = as_list(&defaults)?;
        defaults.iter().try_for_each(|header| write_header(&mut head, &header))?;
        let replaced = settings.default_lines.replace(DefaultLines::of(&defaults, &head));
        drop(replaced);
    }
    write(&mut head)?;
    Ok(head.finish(status, exchange.head.facts))
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
            copy = body.cast::<PyBytes>().map_or_else(|_| names::bytes_of(body), |body| Ok(body.clone()))?;
            copy.as_bytes()
        }
    };
    write(answer, part, !more, out)?;
    Ok(!more)
}

/// Write a part of the body.
///
/// # Errors
/// `RuntimeError`: the body is longer or shorter than the head says.
pub(super) fn write(answer: &mut Answer, part: &[u8], is_last: bool, out: &mut Vec<u8>) -> PyResult<()> {
    answer.write(out, part, is_last).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// The default headers as they were written last; uvicorn has a new list of them each second.
pub(super) struct DefaultLines {
    headers: Items,
    lines: Vec<u8>,
}

impl DefaultLines {
    /// What was written of these headers; none if they say something of the body or the connection.
    fn of(headers: &Bound<'_, PyList>, head: &ResponseHead<'_>) -> Option<Self> {
        Some(Self { lines: head.plain_lines()?.to_vec(), headers: Items::of(headers) })
    }

    /// Write them, if the headers are the same.
    fn write(&self, headers: &Bound<'_, PyAny>, head: &mut ResponseHead<'_>) -> bool {
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
            let (name, value) = (names::bytes_of(&name)?, names::bytes_of(&value)?);
            head.header(name.as_bytes(), value.as_bytes())
        }
    };
    written.map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
