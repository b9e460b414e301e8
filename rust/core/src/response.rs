//! Bytes, status and headers become the two ASGI messages of a response.
//!
//! Source: `starlette.responses.Response.init_headers` (order of headers) and `__call__` (messages).

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{Error, guarded};
use crate::names;
use crate::place::Place;
use crate::plan::{Answer, ContentType};

/// A response whose every byte is known.
pub(crate) struct Ready {
    pub(crate) status: Py<PyAny>,
    pub(crate) headers: Headers,
    pub(crate) body: Content,
}

/// The headers of a response.
pub(crate) enum Headers {
    /// The length of the body, and this, which a plan owns.
    Usual(Arc<ContentType>),
    /// A list of `(name, value)` pairs of bytes, not shared with any other response.
    Given(Py<PyAny>),
}

/// The body of a response.
pub(crate) enum Content {
    Written(Vec<u8>),
    Object(Py<PyAny>),
}

impl Content {
    pub(crate) fn object(&self, py: Python<'_>) -> Py<PyAny> {
        match self {
            Self::Written(bytes) => PyBytes::new(py, bytes).into_any().unbind(),
            Self::Object(object) => object.clone_ref(py),
        }
    }
}

impl Ready {
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.status)?;
        match &self.headers {
            Headers::Usual(_) => {}
            Headers::Given(headers) => visit.call(headers)?,
        }
        match &self.body {
            Content::Object(body) => visit.call(body),
            Content::Written(_) => Ok(()),
        }
    }

    /// A response of `body` under the plan's content type, with the headers that dependencies added behind its own.
    #[inline]
    pub(crate) fn new(
        py: Python<'_>,
        answer: &Answer,
        status: u16,
        body: Content,
        added: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        check_status(status.into())?;
        let status = status.into_pyobject(py)?.into_any().unbind();
        let mut ready = Self { status, headers: Headers::Usual(Arc::clone(&answer.content_type)), body };
        if let Some(added) = added {
            check_headers(added)?;
            let headers = ready.headers(py)?;
            headers.call_method1(intern!(py, "extend"), (added,))?;
            ready.headers = Headers::Given(headers.unbind());
        }
        Ok(ready)
    }

    /// The headers as a list.
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let content_type = match &self.headers {
            Headers::Usual(content_type) => &content_type.pair,
            Headers::Given(headers) => return Ok(headers.bind(py).clone()),
        };
        let size = match &self.body {
            Content::Written(bytes) => bytes.len(),
            Content::Object(object) => object.bind(py).len()?,
        };
        Ok(PyList::new(py, [&content_length(py, size)?, content_type.bind(py)])?.into_any())
    }

    /// What `response` would send, if it is of a plain class, exactly: nothing else runs in its `__call__`.
    ///
    /// A response with a background task, or of any other class, is called instead.
    pub(crate) fn of_plain_response(response: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let py = response.py();
        let class = response.get_type();
        let plain = class.is(names::json_response(py)?)
            || class.is(names::response(py)?)
            || class.is(names::plain_text_response(py)?)
            || class.is(names::html_response(py)?)
            || class.is(names::redirect_response(py)?)
            || class.is(names::rendered_response(py)?);
        if !plain || !response.getattr(intern!(py, "background"))?.is_none() {
            return Ok(None);
        }
        check_response(response)?;
        Ok(Some(Self {
            status: response.getattr(intern!(py, "status_code"))?.unbind(),
            headers: Headers::Given(response.getattr(intern!(py, "raw_headers"))?.unbind()),
            body: Content::Object(response.getattr(intern!(py, "body"))?.unbind()),
        }))
    }

    /// The response object that Starlette would have made: a `JSONResponse`, or a `Response` of JSON.
    ///
    /// Source: `starlette.responses.Response.__init__`.
    pub(crate) fn into_response(
        self,
        py: Python<'_>,
        is_json_response: bool,
        background: Option<&Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let class = if is_json_response { names::json_response(py)? } else { names::response(py)? };
        let response = class.call_method1(intern!(py, "__new__"), (class,))?;
        let headers = self.headers(py)?;
        response.setattr(intern!(py, "status_code"), self.status)?;
        if !is_json_response {
            response.setattr(intern!(py, "media_type"), intern!(py, "application/json"))?;
        }
        response.setattr(intern!(py, "background"), background)?;
        response.setattr(intern!(py, "body"), self.body.object(py))?;
        response.setattr(intern!(py, "raw_headers"), headers)?;
        Ok(response.unbind())
    }

    /// The `http.response.start` message.
    pub(crate) fn start<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        start(self.status.bind(py), &self.headers(py)?)
    }

    /// The one `http.response.body` message.
    pub(crate) fn body<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        part(self.body.object(py).bind(py), None)
    }
}

/// The first message of a response object.
pub(crate) fn start_of<'py>(response: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = response.py();
    start(&response.getattr(intern!(py, "status_code"))?, &response.getattr(intern!(py, "raw_headers"))?)
}

/// The message that starts a response.
#[inline]
fn start<'py>(status: &Bound<'py, PyAny>, headers: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    // A copy of a dict with the same keys takes half of what making one does.
    static PATTERN: PyOnceLock<(Py<PyDict>, Py<PyAny>)> = PyOnceLock::new();
    let py = status.py();
    let (pattern, usual) = PATTERN.get_or_try_init(py, || -> PyResult<_> {
        let pattern = PyDict::new(py);
        let usual = 200_u16.into_pyobject(py)?.into_any().unbind();
        pattern.set_item(intern!(py, "type"), intern!(py, "http.response.start"))?;
        pattern.set_item(intern!(py, "status"), &usual)?;
        pattern.set_item(intern!(py, "headers"), py.None())?;
        Ok((pattern.unbind(), usual))
    })?;
    let message = pattern.bind(py).copy()?;
    if !status.is(usual) {
        message.set_item(intern!(py, "status"), status)?;
    }
    message.set_item(intern!(py, "headers"), headers)?;
    Ok(message)
}

/// A message with a body, or a part of one: whether more of it comes is said only there.
#[inline]
pub(crate) fn part<'py>(body: &Bound<'py, PyAny>, more: Option<bool>) -> PyResult<Bound<'py, PyDict>> {
    static PATTERNS: [PyOnceLock<Py<PyDict>>; 3] = [const { PyOnceLock::new() }; 3];
    let py = body.py();
    let [whole, last, middle] = &PATTERNS;
    let pattern = more.map_or(whole, |more| if more { middle } else { last });
    let pattern = pattern.get_or_try_init(py, || -> PyResult<_> {
        let pattern = PyDict::new(py);
        pattern.set_item(intern!(py, "type"), intern!(py, "http.response.body"))?;
        pattern.set_item(intern!(py, "body"), py.None())?;
        if let Some(more) = more {
            pattern.set_item(intern!(py, "more_body"), more)?;
        }
        Ok(pattern.unbind())
    })?;
    let message = pattern.bind(py).copy()?;
    message.set_item(intern!(py, "body"), body)?;
    Ok(message)
}

/// The `content-length` header of a body of so many bytes; that of a small one is made once.
fn content_length(py: Python<'_>, length: usize) -> PyResult<Bound<'_, PyTuple>> {
    static SMALL: [PyOnceLock<Py<PyTuple>>; 1024] = [const { PyOnceLock::new() }; 1024];
    let make = || -> PyResult<Py<PyTuple>> {
        let digits = PyBytes::new(py, itoa::Buffer::new().format(length).as_bytes());
        Ok((PyBytes::new(py, b"content-length"), digits).into_pyobject(py)?.unbind())
    };
    match SMALL.get(length) {
        Some(cell) => cell.get_or_try_init(py, make).map(|header| header.bind(py).clone()),
        None => make().map(|header| header.into_bound(py)),
    }
}

/// Refuse a response object whose status or headers must not reach a server.
///
/// # Errors
/// `RuntimeError`, before anything is sent. An object that does not show what it will send is left to the server.
pub(crate) fn check_response(response: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = response.py();
    if let Some(status) = response.getattr_opt(intern!(py, "status_code"))? {
        check_status_object(&status)?;
    }
    response.getattr_opt(intern!(py, "raw_headers"))?.map_or(Ok(()), |headers| check_headers(&headers))
}

/// Refuse an `http.response.start` message whose status or headers must not reach a server.
///
/// # Errors
/// `RuntimeError`.
#[pyfunction]
pub(crate) fn check_start(message: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = message.py();
    guarded(|| {
        if let Some(status) = message.get_item(intern!(py, "status"))? {
            check_status_object(&status)?;
        }
        message.get_item(intern!(py, "headers"))?.map_or(Ok(()), |headers| check_headers(&headers))
    })
}

fn check_status_object(status: &Bound<'_, PyAny>) -> PyResult<()> {
    if !status.is_instance_of::<PyInt>() {
        return Ok(());
    }
    match status.extract::<i64>() {
        Ok(number) => check_status(number),
        Err(_) => Err(Error::Status { status: status.to_string() }.into()),
    }
}

/// Source: RFC 9110, section 15: three digits; servers differ in what they do with others.
fn check_status(status: i64) -> PyResult<()> {
    if (100..=999).contains(&status) { Ok(()) } else { Err(Error::Status { status: status.to_string() }.into()) }
}

/// Source: RFC 9110, section 5.5: a line end or a NUL would end the header, and begin another or the body.
fn check_headers(headers: &Bound<'_, PyAny>) -> PyResult<()> {
    let Ok(headers) = headers.cast::<PyList>() else { return Ok(()) };
    for header in headers {
        let Ok((name, value)) = header.extract::<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>() else { continue };
        if has_control_byte(name.as_bytes()) || has_control_byte(value.as_bytes()) {
            return Err(Error::Header { name: String::from_utf8_lossy(name.as_bytes()).into_owned() }.into());
        }
    }
    Ok(())
}

fn has_control_byte(text: &[u8]) -> bool {
    // Without a way out of the loop, many bytes are looked at in one step.
    text.iter().fold(false, |found, byte| found | (byte.is_ascii_control() && *byte != b'\t'))
}

/// Whether a response of this status carries the body that was rendered for it, with its length.
///
/// Source: `starlette.responses.Response.init_headers`, `fastapi.utils.is_body_allowed_for_status_code`.
pub(crate) fn carries_body(status: u16) -> bool {
    status >= 200 && !matches!(status, 204 | 205 | 304)
}

/// The type of an ASGI message.
pub(crate) fn message_type<'py>(message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    static PLACE: Place = Place::new();
    let name = intern!(message.py(), "type");
    let known = message.cast_exact::<PyDict>().map_or(Ok(None), |message| PLACE.get(message, name))?;
    Ok(known.map_or_else(|| message.get_item(name), Ok)?.cast_into::<PyString>()?)
}
