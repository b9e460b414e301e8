//! What an application sends in other types than the usual ones: read, or refused, as Python code would read it.
//!
//! Source: uvicorn, `RequestResponseCycle.send`, whose exceptions these are.

use http::ResponseBody;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::names;

/// A message that is no dict.
///
/// # Errors
/// What looking its type up raises, or what making a dict of it does.
#[cold]
pub(super) fn message<'py>(message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = message.py();
    message.get_item(intern!(py, "type"))?;
    Ok(py.get_type::<PyDict>().call1((message,))?.cast_into()?)
}

/// The status that an object is equal to which is no whole number, or none of these.
///
/// # Errors
/// `KeyError`: there is none; `TypeError`: it cannot be a key.
#[cold]
pub(super) fn status(status: &Bound<'_, PyAny>) -> PyResult<u16> {
    let statuses = PyDict::new(status.py());
    (100_u16..600).try_for_each(|status| statuses.set_item(status, status))?;
    statuses.as_any().get_item(status)?.extract()
}

/// Name and value of a header that is no tuple of two byte strings.
///
/// # Errors
/// `TypeError`, `ValueError`, `AttributeError`: it is no pair, or has something else in it than bytes.
#[cold]
pub(super) fn header<'py>(header: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    names::header_pair(header.py())?.call1((header,))?.extract()
}

/// The bytes of a part of a body that is no byte string.
///
/// # Errors
/// `TypeError`: it has none; that is so for what is empty, too, where the head says how long the body is.
#[cold]
pub(super) fn body<'py>(answer: &ResponseBody, body: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let empty = PyBytes::new(body.py(), b"");
    if answer.is_ignored() || !(answer.is_counted() || body.is_truthy()?) {
        return Ok(empty);
    }
    body.len()?;
    if answer.is_counted() {
        return names::bytes_of(body);
    }
    Ok(empty.call_method1(intern!(body.py(), "join"), ((&empty, body),))?.cast_into()?)
}
