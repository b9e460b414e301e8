//! The application's messages, as bytes of the response.
//!
//! Source: uvicorn, `RequestResponseCycle.send`: the order of checks, their exceptions, and what is logged.

use std::sync::atomic::Ordering;

use http::{RequestFacts, ResponseBody, ResponseHead};
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::settings::DefaultLines;
use super::state::{Exchange, HTTPProtocol};
use super::unusual;
use crate::error::guarded;
use crate::names;
use crate::response::{Content, Headers, Ready};

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

impl Exchange {
    /// Write what the application sends.
    ///
    /// # Errors
    /// `RuntimeError`: the message is not the one that may come now, or must not be written.
    pub(super) fn deliver(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.is_disconnected.load(Ordering::Relaxed) {
            return Ok(());
        }
        let message = match message.cast::<PyDict>() {
            Ok(message) => message,
            Err(_) => &unusual::message(message)?,
        };
        let protocol = self.protocol.bind(py);
        if !self.has_started.load(Ordering::Relaxed) {
            let mut out = HTTPProtocol::take_output(protocol);
            let started = guarded(|| start(self, message, &mut out));
            self.awaits_continue.store(false, Ordering::Relaxed);
            HTTPProtocol::put_output(protocol, out);
            self.answer.replace(py, Some(started?));
            return HTTPProtocol::flush_unless_stepping(protocol);
        }
        if self.is_complete.load(Ordering::Relaxed) {
            let kind = kind(message)?;
            return Err(PyRuntimeError::new_err(format!(
                "Unexpected ASGI message '{kind}' sent, after response already completed."
            )));
        }
        let Some(mut answer) = self.answer.replace(py, None) else {
            return Err(PyRuntimeError::new_err("Unexpected ASGI message: the response could not be started."));
        };
        let mut out = HTTPProtocol::take_output(protocol);
        let is_last = guarded(|| body(&mut answer, message, &mut out));
        HTTPProtocol::put_output(protocol, out);
        let is_persistent = answer.is_persistent();
        self.answer.replace(py, Some(answer));
        if is_last? { self.complete(py, is_persistent) } else { HTTPProtocol::flush_unless_stepping(protocol) }
    }

    /// Write a whole response; tell whether that was possible at once.
    ///
    /// # Errors
    /// `RuntimeError`: it must not be written.
    pub(super) fn write(&self, py: Python<'_>, ready: &Ready) -> PyResult<bool> {
        if self.is_disconnected.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let protocol = self.protocol.bind(py);
        // What has been sent in messages ends, or is refused, in messages; so does what waits for the client.
        if self.has_started.load(Ordering::Relaxed) || protocol.get().is_write_paused() {
            return Ok(false);
        }
        let body = match &ready.body {
            Content::Written(bytes) => bytes.as_slice(),
            Content::Object(body) => match body.bind(py).cast::<PyBytes>() {
                Ok(body) => body.as_bytes(),
                // In messages, a body that cannot be written fails behind the head.
                Err(_) => return Ok(false),
            },
        };
        let mut out = HTTPProtocol::take_output(protocol);
        let started = guarded(|| start_ready(self, py, ready, body.len(), &mut out));
        self.awaits_continue.store(false, Ordering::Relaxed);
        let written = started.and_then(|mut answer| {
            write(&mut answer, body, true, &mut out)?;
            Ok(answer.is_persistent())
        });
        HTTPProtocol::put_output(protocol, out);
        self.complete(py, written?)?;
        Ok(true)
    }

    fn complete(&self, py: Python<'_>, is_persistent: bool) -> PyResult<()> {
        self.is_complete.store(true, Ordering::Relaxed);
        self.wake(py)?;
        let is_persistent = is_persistent && !self.must_close.load(Ordering::Relaxed);
        HTTPProtocol::response_complete(self.protocol.bind(py), is_persistent)
    }
}

/// Write the head that a message of type `http.response.start` means to `out`.
///
/// # Errors
/// `RuntimeError`: another message, or a header that must not be written; nothing is written then.
fn start(exchange: &Exchange, message: &Bound<'_, PyDict>, out: &mut Vec<u8>) -> PyResult<ResponseBody> {
    let py = message.py();
    let kind = kind(message)?;
    if kind != "http.response.start" {
        return Err(PyRuntimeError::new_err(format!("Expected ASGI message 'http.response.start', but got '{kind}'.")));
    }
    exchange.has_started.store(true, Ordering::Relaxed);
    let status = message.get_item(intern!(py, "status"))?.ok_or(PyKeyError::new_err("status"))?;
    let headers = match message.get_item(intern!(py, "headers"))? {
        Some(headers) => as_list(&headers)?,
        None => PyList::empty(py),
    };
    write_head(exchange, &status, out, |head| headers.iter().try_for_each(|header| write_header(head, &header)))
}

/// Write the head of a whole response, whose body has `size` bytes.
///
/// # Errors
/// The same.
fn start_ready(
    exchange: &Exchange,
    py: Python<'_>,
    ready: &Ready,
    size: usize,
    out: &mut Vec<u8>,
) -> PyResult<ResponseBody> {
    exchange.has_started.store(true, Ordering::Relaxed);
    write_head(exchange, ready.status.bind(py), out, |head| match &ready.headers {
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
    status: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut ResponseHead<'_>) -> PyResult<()>,
) -> PyResult<ResponseBody> {
    let (py, settings) = (status.py(), &exchange.protocol.get().settings);
    if let Some(logger) = &settings.access_logger {
        names::log_access(py)?.call1((logger, exchange.scope(py)?, status))?;
    }
    let status = status.extract::<u16>().or_else(|_| unusual::status(status))?;
    let mut head = ResponseHead::new(out, status_line(py, status)?);
    let defaults = settings.server_state.default_headers(py)?;
    if !settings.default_lines.with(py, |known| known.as_ref().is_some_and(|known| known.write(&defaults, &mut head))) {
        let defaults = as_list(&defaults)?;
        defaults.iter().try_for_each(|header| write_header(&mut head, &header))?;
        let replaced = settings.default_lines.replace(py, DefaultLines::of(&defaults, &head));
        drop(replaced);
    }
    write(&mut head)?;
    let facts = exchange.head.facts;
    let is_persistent = facts.is_persistent && !exchange.must_close.load(Ordering::Relaxed);
    Ok(head.finish(status, RequestFacts { is_persistent, ..facts }))
}

/// Write the part of the body that a message of type `http.response.body` means; tell whether it was the last one.
///
/// # Errors
/// `RuntimeError`: another message, or a body that is longer or shorter than the head says.
fn body(answer: &mut ResponseBody, message: &Bound<'_, PyDict>, out: &mut Vec<u8>) -> PyResult<bool> {
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
            copy = body.cast::<PyBytes>().map_or_else(|_| unusual::body(answer, body), |body| Ok(body.clone()))?;
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
fn write(answer: &mut ResponseBody, part: &[u8], is_last: bool, out: &mut Vec<u8>) -> PyResult<()> {
    answer.write(out, part, is_last).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// The type of an ASGI message.
fn kind<'py>(message: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyString>> {
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
            let (name, value) = unusual::header(header)?;
            head.header(name.as_bytes(), value.as_bytes())
        }
    };
    written.map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
